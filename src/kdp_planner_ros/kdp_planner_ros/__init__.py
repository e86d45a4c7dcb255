"""ROS 2 nodes over kdp_core: the planner and the latency monitor."""
