"""Other ways to propose windows, behind the same interface as the learned planner."""
