"""Runs long and short work off the main thread: jobs and queues of tasks."""
