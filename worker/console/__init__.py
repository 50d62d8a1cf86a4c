"""The ops console: a process of its own that reads the output topics, keeps a projection and serves its pages."""
