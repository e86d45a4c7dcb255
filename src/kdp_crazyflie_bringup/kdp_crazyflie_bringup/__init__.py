"""Crazyflie driver, simulated Crazyflie, launch files and configuration for KDP."""
