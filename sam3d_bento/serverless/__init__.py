"""Run the service as a RunPod serverless worker: the same engine process, with jobs from RunPod's queue, not HTTP."""
