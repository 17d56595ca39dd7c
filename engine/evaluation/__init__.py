"""Models held against expert masks."""
