"""SO-100 driver, simulated SO-100 on a Feetech bus, launch files and configuration for KDP."""
