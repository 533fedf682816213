"""A plain ZeroMQ broker of three processes: client DEALER, ROUTER-ROUTER broker, worker DEALER, poll loops. The floor."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

import zmq


def broker(directory: str) -> None:
    context = zmq.Context()
    front, back = context.socket(zmq.ROUTER), context.socket(zmq.ROUTER)
    front.bind(f"ipc://{directory}/front")
    back.bind(f"ipc://{directory}/back")
    poller = zmq.Poller()
    poller.register(front, zmq.POLLIN)
    poller.register(back, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if front in ready:
            route, *frames = front.recv_multipart()
            back.send_multipart([b"worker", route, *frames])
        if back in ready:
            _, route, *frames = back.recv_multipart()
            front.send_multipart([route, *frames])


def worker(directory: str) -> None:
    socket = zmq.Context().socket(zmq.DEALER)
    socket.setsockopt(zmq.ROUTING_ID, b"worker")
    socket.connect(f"ipc://{directory}/back")
    while True:
        socket.send_multipart(socket.recv_multipart())


def measure(directory: str, *, rounds: int = 3000) -> float:
    """Median round trip in microseconds."""
    os.makedirs(directory, exist_ok=True)
    children = [
        subprocess.Popen([sys.executable, "-m", "bench.zbroker", role, directory]) for role in ("broker", "worker")
    ]
    context = zmq.Context()
    try:
        socket = context.socket(zmq.DEALER)
        socket.linger = 0
        socket.connect(f"ipc://{directory}/front")
        time.sleep(0.5)
        times = []
        for _ in range(rounds + 300):
            start = time.perf_counter()
            socket.send_multipart([b"W1", b"0123456789" * 5, b"body"])
            socket.recv_multipart()
            times.append(time.perf_counter() - start)
        return statistics.median(times[300:]) * 1e6
    finally:
        context.destroy(linger=0)
        for child in children:
            child.kill()
            child.wait()


if __name__ == "__main__":
    {"broker": broker, "worker": worker}[sys.argv[1]](sys.argv[2])
