"""What a person can do with the workspace, one service for each; services announce by signal."""
