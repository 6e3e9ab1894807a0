"""The service as a RunPod serverless worker: the same engine process, with jobs from RunPod's queue instead of HTTP."""
