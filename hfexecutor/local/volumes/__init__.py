"""Volumes of jobs: directories that follow buckets, or are made of what was downloaded."""
