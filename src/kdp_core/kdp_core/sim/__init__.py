"""Simulated worlds and robots. Pure numpy, so that training and evaluation never import a bringup package."""
