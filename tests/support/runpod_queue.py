"""RunPod's side of a worker, on the loopback interface: the job queue that the SDK asks over HTTP, as it does there."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue

LONG_POLL_SECONDS = 0.2


class RunPodQueue(ThreadingHTTPServer):
    """Gives out what is put into `jobs` and `stops` (ids); `posts` gets what the worker posts: (job's id, JSON)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), RunPodQueueHandler)
        self.jobs = Queue()
        self.stops = Queue()
        self.posts = Queue()
        self.pinged = threading.Event()

    def environment(self, key):
        """What RunPod puts into a worker's environment."""
        url = f"http://127.0.0.1:{self.server_port}"
        return {
            "RUNPOD_AI_API_KEY": key,
            "RUNPOD_POD_ID": "pod-1",
            "RUNPOD_ENDPOINT_ID": "endpoint-1",
            "RUNPOD_PING_INTERVAL": "1000",
            "RUNPOD_WEBHOOK_GET_JOB": f"{url}/job-take/$ID?gpu=none",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{url}/job-done/$RUNPOD_POD_ID/$ID?gpu=none",
            "RUNPOD_WEBHOOK_PING": f"{url}/ping/$RUNPOD_POD_ID",
        }


class RunPodQueueHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/job-take/"):
            job = self.next(self.server.jobs)
            self.answer(204 if job is None else 200, job)
        elif self.path.startswith("/job-stop/"):
            stopped = self.next(self.server.stops)
            self.answer(204 if stopped is None else 200, {"jobsToStop": [stopped]})
        else:
            self.server.pinged.set()
            self.answer(200, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.put((self.path.partition("?")[0].rpartition("/")[2], json.loads(body)))
        self.answer(200, {})

    def next(self, queue):
        try:
            return queue.get(timeout=LONG_POLL_SECONDS)
        except Empty:
            return None

    def answer(self, status, content):
        body = b"" if status == 204 else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if body:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass
