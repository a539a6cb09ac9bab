# SPDX-License-Identifier: Apache-2.0
"""Downloading: img2dataset and mien download on the same photos from an nginx on loopback, in turns; and mien's memory with a
long list.

usage: data_download.py MIEN MAKE_PHOTOS [--i2d PYTHON] [--count 3000] [--rounds 3] [--entries 1000000]

Photos are 512x512 JPEGs. img2dataset gets 2 processes of 32 threads, no resizing, files as output, and shards so small that
both processes have work; mien its defaults but for the limits to one host, which would be all there is to measure: 64
connections, a thread a core to check. Wall clock from start to end of each process. Without img2dataset (pip install
img2dataset, in an environment of its own) mien alone is measured.

Memory: a metadata.json of so many entries of 50,000 hosts, whose addresses are private ones: each goes through all of the
program up to the connection, which is refused before a packet is sent. Then the same again, when all is known.
"""
import argparse
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CONF = """
worker_processes 2; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000; default_type image/jpeg;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    server {{ listen 127.0.0.1:{port} backlog=4096; root {dir}/www; open_file_cache max=10000; }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Nginx:
    def __init__(self, folder):
        self.port = free_port()
        pathlib.Path(folder, "nginx.conf").write_text(CONF.format(dir=folder, port=self.port))
        self.process = subprocess.Popen(["nginx", "-p", folder, "-c", f"{folder}/nginx.conf"], stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("nginx does not answer")

    def cpu(self):
        """Seconds that its workers have used."""
        total = 0
        for pid in subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True).stdout.split():
            words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
            total += int(words[11]) + int(words[12])
        return total / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def timed(command, **more):
    """Wall clock, user and system seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return run, seconds, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime


def run_i2d(a, work, count):
    out = f"{work}/i2d"
    shutil.rmtree(out, ignore_errors=True)
    run, seconds, user, system = timed(
        [f"{os.path.dirname(a.i2d)}/img2dataset", "--url_list", f"{work}/list.jsonl", "--input_format", "jsonl", "--url_col", "url",
         "--output_folder", out, "--processes_count", "2", "--thread_count", "32", "--resize_mode", "no", "--output_format", "files",
         "--number_sample_per_shard", str(max(1, count // 6)), "--enable_wandb", "False", "--user_agent_token", "bench"],
        env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"})
    got = sum(1 for _ in pathlib.Path(out).glob("*/*.jpg")) if run.returncode == 0 else 0
    if got != count:
        sys.exit(f"img2dataset: {got} of {count}: {run.stderr[-2000:]}")
    return seconds, user, system, None


def run_mien(a, work, count, check):
    data = f"{work}/{check}"
    shutil.rmtree(data, ignore_errors=True)
    os.makedirs(data)
    shutil.copy(f"{work}/metadata.json", data)
    timings = f"{work}/{check}.json"
    pathlib.Path(timings).unlink(missing_ok=True)
    run, seconds, user, system = timed([a.mien, "download", "--data", data, "--allow-private", "--host-rate", "0", "--host-connections", "0",
                                        "--check", check, "--quiet", "--timings", timings])
    got = len(os.listdir(f"{data}/target"))
    if run.returncode or got != count:
        sys.exit(f"mien: status {run.returncode}, {got} of {count}: {run.stderr[-2000:]}")
    return seconds, user, system, json.loads(pathlib.Path(timings).read_text())


def compare(a, work):
    os.makedirs(f"{work}/www")
    subprocess.run([a.make_photos, f"{work}/www", str(a.count), "--size", "512x512"], check=True)
    names = sorted(os.listdir(f"{work}/www"))
    mean = statistics.mean(os.stat(f"{work}/www/{n}").st_size for n in names)
    server = Nginx(work)
    urls = {n[:-4]: f"http://127.0.0.1:{server.port}/{n}" for n in names}
    pathlib.Path(work, "metadata.json").write_text(json.dumps({i: {"url": u, "caption": ""} for i, u in urls.items()}))
    pathlib.Path(work, "list.jsonl").write_text("".join(json.dumps({"url": u}) + "\n" for u in urls.values()))
    ways = {"mien --check header": lambda: run_mien(a, work, a.count, "header"), "mien --check full": lambda: run_mien(a, work, a.count, "full")}
    if a.i2d:
        ways["img2dataset"] = lambda: run_i2d(a, work, a.count)
    print(f"{a.count} photos of 512x512, {mean / 1000:.0f} KB on average, {os.cpu_count()} cores, nginx on the same ones", flush=True)
    results = {w: [] for w in ways}
    try:
        for r in range(a.rounds):
            for way, go in ways.items():
                before = server.cpu()
                seconds, user, system, t = go()
                results[way].append((seconds, user, system, server.cpu() - before, t))
                print(f"round {r + 1}: {way}: {a.count / seconds:.0f} images/s ({seconds:.2f} s)", flush=True)
    finally:
        server.stop()
    for way, runs in results.items():
        seconds, user, system, served, t = min(runs, key=lambda x: x[0])
        n = a.count / 1000
        print(f"{way}: best {a.count / seconds:.0f}, median {a.count / statistics.median(x[0] for x in runs):.0f} images/s; "
              f"of the best, ms a photo: user {user / n:.3f}, system {system / n:.3f}, nginx {served / n:.3f}")
        if t:
            print(f"    network's thread {t['network_cpu'] / n:.3f}, checking threads {t['check_cpu'] / n:.3f} (wall clock: read {t['read'] / n:.3f}, "
                  f"hash {t['hash'] / n:.3f}, verify {t['verify'] / n:.3f}, write {t['write'] / n:.3f}); peak memory {t['peak_bytes'] / 1e6:.1f} MB")
    if a.i2d:
        peer = min(x[0] for x in results["img2dataset"])
        for way in list(ways)[:2]:
            each = [p[0] / m[0] for p, m in zip(results["img2dataset"], results[way])]
            print(f"{way}: {peer / min(x[0] for x in results[way]):.2f} times img2dataset, best to best; median of rounds {statistics.median(each):.2f}")


def memory(a, work):
    data = f"{work}/long"
    os.makedirs(data)
    with open(f"{data}/metadata.json", "w") as f:
        f.write("{")
        for i in range(a.entries):
            h = i * 7919 % 50000
            url = f"http://10.{h >> 16}.{h >> 8 & 255}.{h & 255}/photos/{i:09d}/a-name-as-long-as-they-are.jpg"
            f.write(f'{"," if i else ""}"{i:09d}": {{"url": "{url}", "caption": "a caption of usual length, number {i}", "width": 1024, "height": 768}}')
        f.write("}")
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    size = os.stat(f"{data}/metadata.json").st_size
    for name in ("first run", "second run"):
        timings = f"{work}/memory.json"
        pathlib.Path(timings).unlink(missing_ok=True)
        run, seconds, user, system = timed([a.mien, "download", "--data", data, "--quiet", "--timings", timings], env=env)
        t = json.loads(pathlib.Path(timings).read_text())
        lines = sum(1 for _ in open(f"{data}/download.jsonl")) - 1
        print(f"{name} over {a.entries} entries ({size / 1e6:.0f} MB of metadata.json): {seconds:.1f} s, user {user:.1f}, system {system:.1f}, "
              f"peak memory {t['peak_bytes'] / 1e6:.1f} MB, {lines} lines in the journal", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("mien")
    p.add_argument("make_photos")
    p.add_argument("--i2d")
    p.add_argument("--count", type=int, default=3000)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--entries", type=int, default=1000000)
    a = p.parse_args()
    a.mien, a.make_photos = os.path.abspath(a.mien), os.path.abspath(a.make_photos)
    with tempfile.TemporaryDirectory() as work:
        os.chmod(work, 0o755)   # nginx, started by root, reads as nobody
        if a.count:
            compare(a, work)
        if a.entries:
            memory(a, work)


main()
