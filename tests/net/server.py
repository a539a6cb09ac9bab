#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hostile web server on loopback, for tests. Python's standard library only.

    server.py [--tls FOLDER [--tls-name NAME] [--tls-days N]] [--robots-status N] [--pid PID] [--lifetime SECONDS] [FOLDER]

prints its port (with --tls a second one, of https; FOLDER then gets cert.pem and key.pem, made by openssl; the certificate is
its own authority: give it to the client as CURL_CA_BUNDLE). It listens on 127.0.0.1 to 127.0.0.9, which are nine hosts to a
client, and on ::1 if there is one. It ends when process PID has ended, after --lifetime (900 s), or when it is killed.

    server.py --stats PORT [KEY...]        /_stats, or one value of it, "-" where there is none; e.g. --stats PORT requests /a.jpg
    server.py --get URL                    the body of an answer, whatever its status

A path is a file of FOLDER (robots.txt too, and robots.HOST.txt before it), unless a part of it begins with "_": that says how
the rest is answered, and may stand before another such part. Arguments follow after ":", percent-encoded where they hold one of :/?#%.

    /_status:N/any                  N, with a small HTML page                   /_html/x.jpg          200 with an HTML page as image/jpeg
    /_heal:N:K[:RETRY]/PATH         N the first K times, then PATH; Retry-After: RETRY, or a date that is so far off with "date+2"
    /_retry:N:RETRY/any             always N with that Retry-After              /_empty/x.jpg         200 and no byte
    /_header:NAME:VALUE/PATH        one more header                             /_type:TYPE/PATH      another Content-Type
    /_redirect[:N]/PATH             302 (or N) to /PATH, absolute URL           /_relative/PATH       302 with "../PATH" as location
    /_hops:N/PATH                   N redirects, then PATH                      /_loop/any            redirects to itself for ever
    /_location:URL/any              302 to any URL at all                       /_port:N/PATH         302 to the same host, another port
    /_host:HOST/PATH                302 to another host, the same port          /_nowhere/any         302 without a location
    /_stall-headers/any             accepts, says nothing                       /_stall-body/PATH     half of the body, then nothing
    /_stall-half-headers/any        stops within the headers                    /_delay:SECONDS/PATH  answers late
    /_cut/PATH                      half of the body, then closes               /_reset/PATH          half, then a TCP reset
    /_longer[:N]/PATH               Content-Length is N (1000) more than comes  /_shorter[:N]/PATH    N (10) less than comes
    /_chunked/PATH                  chunked, no length                          /_chunked-cut/PATH    without its last chunk
    /_no-length/PATH                neither; ends by closing                    /_trickle:BPS/PATH    so many bytes a second
    /_huge:N/any                    N zero bytes, with their length             /_endless/any         zero bytes for ever, no length
    /_headers-endless/any           headers for ever                            /_headers-long:N/PATH a header of N bytes
    /_garbage/any                   random bytes instead of HTTP                /_http09/PATH         the body without any header
    /_refuse/any                    closes without a word                       /_gzip/PATH           Content-Encoding: gzip
    /_as:N/PATH                     as PATH, but with status N
    /_length:TEXT/PATH              any text as Content-Length                  /_close/PATH          Connection: close
    /_range/PATH                    with an ETag; Range and If-Range are obeyed /_range:blind/PATH    as if there were no If-Range
    /_linked[:HASH[:SIZE]]/PATH     302 to /PATH with X-Linked-ETag, -Size      /_times:K:PART/PATH   /PART/PATH the first K times, then /PATH
    /_stats                         what was asked so far, as JSON              /_stats-reset         forgets it

/_stats: {"connections": ever, "open": now, "requests": {"/path": n}, "hosts": {"127.0.0.1": {"requests": n,
"most_at_once": requests under way at once, "most_connections": open at once, "most_a_second": begun within any second}},
"agents": {"User-Agent": n}, "cookies": requests that had any, "accept_encoding": that took any, "last_headers": {"/path": {"name": "value"}}}.
A host is what the Host header says, without the port."""
import argparse, email.utils, gzip, hashlib, json, os, random, select, socket, ssl, struct, subprocess, sys, threading, time
import urllib.error, urllib.parse, urllib.request

TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif",
         ".bmp": "image/bmp", ".txt": "text/plain", ".html": "text/html", ".json": "application/json"}
PAGE = b"<!DOCTYPE html><html><body><h1>%s</h1></body></html>\n"
WORDS = {200: "OK", 206: "Partial Content", 416: "Range Not Satisfiable", 204: "No Content", 301: "Moved Permanently", 302: "Found", 303: "See Other", 307: "Temporary Redirect", 308: "Permanent Redirect",
         403: "Forbidden", 404: "Not Found", 410: "Gone", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}


class Stats:
    def __init__(self):
        self.lock = threading.Lock()
        self.connections = self.open = 0
        self.reset()

    def reset(self):
        self.requests, self.hosts, self.agents, self.last, self.healed = {}, {}, {}, {}, {}
        self.cookies = self.encodings = 0

    def host(self, name):
        return self.hosts.setdefault(name, {"requests": 0, "at_once": 0, "most_at_once": 0, "open": 0, "most_connections": 0, "times": []})

    def begin(self, request, connection_hosts):
        with self.lock:
            h = self.host(request.host)
            h["requests"] += 1
            h["at_once"] += 1
            h["most_at_once"] = max(h["most_at_once"], h["at_once"])
            h["times"].append(time.monotonic())
            if request.host not in connection_hosts:
                connection_hosts.append(request.host)
                h["open"] += 1
                h["most_connections"] = max(h["most_connections"], h["open"])
            self.requests[request.path] = self.requests.get(request.path, 0) + 1
            agent = request.headers.get("user-agent", "")
            self.agents[agent] = self.agents.get(agent, 0) + 1
            self.cookies += "cookie" in request.headers
            self.encodings += request.headers.get("accept-encoding", "identity") != "identity"
            self.last[request.path] = request.headers

    def end(self, request):
        with self.lock:
            self.host(request.host)["at_once"] -= 1

    def gone(self, connection_hosts):
        with self.lock:
            self.open -= 1
            for name in connection_hosts: self.host(name)["open"] -= 1

    def heals(self, path, times):                     # False the first `times` times
        with self.lock:
            self.healed[path] = self.healed.get(path, 0) + 1
            return self.healed[path] > times

    def as_json(self):
        with self.lock:
            hosts = {}
            for name, h in self.hosts.items():
                t, first, most = sorted(h["times"]), 0, 0
                for i in range(len(t)):               # the most that began within any second
                    while t[i] - t[first] >= 1: first += 1
                    most = max(most, i - first + 1)
                hosts[name] = {"requests": h["requests"], "most_at_once": h["most_at_once"], "most_connections": h["most_connections"], "most_a_second": most}
            return json.dumps({"connections": self.connections, "open": self.open, "requests": self.requests, "hosts": hosts, "agents": self.agents,
                               "cookies": self.cookies, "accept_encoding": self.encodings, "last_headers": self.last}, sort_keys=True).encode()


class Request:
    def __init__(self, path, headers, tls):
        self.path, self.headers, self.tls = path, headers, tls
        authority = headers.get("host", "")
        self.authority, (self.host, _, self.port) = authority, authority.rpartition(":")
        if not self.host: self.host, self.port = authority, "443" if tls else "80"

    def url(self, path, host=None, port=None):
        return "%s://%s:%s/%s" % ("https" if self.tls else "http", host or self.host, port or self.port, path)


class Answer:
    """What is to be sent, and how it goes wrong."""
    def __init__(self, status=200, body=b"", kind="text/html"):
        self.status, self.body, self.kind, self.headers = status, body, kind, []
        self.raw = None              # bytes instead of all of HTTP
        self.declared = None         # another Content-Length; "": none
        self.chunked = self.close = self.endless = self.endless_headers = False
        self.first = None            # body bytes before `then`: "stall", "close", "reset"
        self.then = None
        self.rate = 0                # bytes a second
        self.delay = 0
        self.zeros = 0               # so many zero bytes are the body


def page(status): return Answer(status, PAGE % str(status).encode())
def redirect(location, status=302):
    a = page(status)
    if location is not None: a.headers.append(("Location", location))
    return a


def retry_after(text):
    return email.utils.formatdate(time.time() + float(text[5:]), usegmt=True) if text.startswith("date+") else text


def half(a, then):
    a.first, a.then = len(a.body) // 2, then
    return a


class Server:
    def __init__(self, options):
        self.options, self.stats = options, Stats()

    def file(self, request, path):
        name = urllib.parse.unquote(path)
        if name == "robots.txt":
            if self.options.robots_status: return page(self.options.robots_status)
            if os.path.exists(os.path.join(self.options.folder, "robots.%s.txt" % request.host)): name = "robots.%s.txt" % request.host
        full = os.path.realpath(os.path.join(self.options.folder, name))
        if not full.startswith(os.path.realpath(self.options.folder) + os.sep) or not os.path.isfile(full): return page(404)
        with open(full, "rb") as f: return Answer(200, f.read(), TYPES.get(os.path.splitext(name)[1].lower(), "application/octet-stream"))

    def answer(self, request, path):
        """path: without its leading slash and query."""
        if not path.startswith("_"): return self.file(request, path)
        part, _, rest = path.partition("/")
        what, *args = [urllib.parse.unquote(a) for a in part.split(":")]
        again = lambda: self.answer(request, rest)
        if what == "_status": return page(int(args[0]))
        if what == "_html": return Answer(200, PAGE % b"not a photo", "image/jpeg")
        if what == "_empty": return Answer(200, b"", "image/jpeg")
        if what in ("_heal", "_retry"):
            if what == "_heal" and self.stats.heals(request.path, int(args[1])): return again()
            a, wait = page(int(args[0])), args[2:] if what == "_heal" else args[1:]
            if wait: a.headers.append(("Retry-After", retry_after(":".join(wait))))
            return a
        if what == "_redirect": return redirect(request.url(rest), int(args[0]) if args else 302)
        if what == "_relative": return redirect("../" + rest)
        if what == "_hops": return redirect(request.url("_hops:%d/%s" % (int(args[0]) - 1, rest))) if int(args[0]) > 0 else again()
        if what == "_loop": return redirect(request.url(path))
        if what == "_times": return again() if self.stats.heals(request.path, int(args[0])) else self.answer(request, ":".join(args[1:]) + "/" + rest)
        if what == "_linked":
            plain = rest
            while plain.startswith("_"): plain = plain.partition("/")[2]
            body, a = self.file(request, plain).body, redirect(request.url(rest))
            a.headers += [("X-Linked-ETag", '"%s"' % (args[0] if args and args[0] else hashlib.sha256(body).hexdigest())),
                          ("X-Linked-Size", args[1] if len(args) > 1 else str(len(body)))]
            return a
        if what == "_location": return redirect(":".join(args))
        if what == "_nowhere": return redirect(None)
        if what == "_port": return redirect(request.url(rest, port=args[0]))
        if what == "_host": return redirect(request.url(rest, host=args[0]))
        if what == "_huge":
            a = Answer(200, b"", "image/jpeg")
            a.zeros = int(args[0])
            return a
        if what in ("_stall-headers", "_stall-half-headers", "_garbage", "_refuse", "_endless", "_headers-endless"):
            a = Answer(200, b"", "image/jpeg")
            a.close = True
            if what == "_stall-headers": a.raw, a.then = b"", "stall"
            elif what == "_stall-half-headers": a.raw, a.then = b"HTTP/1.1 200 OK\r\nContent-Ty", "stall"
            elif what == "_garbage": a.raw = random.Random(1).randbytes(4096)
            elif what == "_refuse": a.raw = b""
            elif what == "_endless": a.endless = True
            else: a.endless_headers = True
            return a
        if what == "_stats":
            if args: return page(404)
            return Answer(200, self.stats.as_json(), "application/json")
        if what == "_stats-reset":
            with self.stats.lock: self.stats.reset()
            return page(200)

        a = again()          # the rest change what another path answers
        if what == "_header": a.headers.append((args[0], ":".join(args[1:])))
        elif what == "_type": a.kind = args[0]
        elif what == "_stall-body": half(a, "stall")
        elif what == "_as": a.status = int(args[0])
        elif what == "_delay": a.delay = float(args[0])
        elif what == "_cut": half(a, "close")
        elif what == "_reset": half(a, "reset")
        elif what == "_longer": a.declared, a.close = str(len(a.body) + int(args[0] if args else 1000)), True
        elif what == "_shorter": a.declared, a.close = str(max(0, len(a.body) - int(args[0] if args else 10))), True
        elif what == "_length": a.declared, a.close = args[0], True
        elif what == "_chunked": a.chunked = True
        elif what == "_chunked-cut": a.chunked, a.first, a.then = True, len(a.body), "close"
        elif what == "_no-length": a.declared, a.close = "", True
        elif what == "_trickle": a.rate = float(args[0])
        elif what == "_headers-long": a.headers.append(("X-Long", "x" * int(args[0])))
        elif what == "_http09": a.raw, a.close = a.body, True
        elif what == "_gzip": a.body = gzip.compress(a.body); a.headers.append(("Content-Encoding", "gzip"))
        elif what == "_packs":                         # unless it is asked not to
            if request.headers.get("accept-encoding") != "identity": a.body = gzip.compress(a.body); a.headers.append(("Content-Encoding", "gzip"))
        elif what == "_close": a.close = True
        elif what == "_range":
            tag, asked, size = '"%s"' % hashlib.md5(a.body).hexdigest(), request.headers.get("range", ""), len(a.body)
            a.headers += [("ETag", tag), ("Accept-Ranges", "bytes")]
            if asked.startswith("bytes=") and (args or request.headers.get("if-range", tag) == tag):
                at = int(asked[6:].partition("-")[0])
                if at >= size:
                    a.status, a.body = 416, b""
                    a.headers.append(("Content-Range", "bytes */%d" % size))
                else:
                    a.status, a.body = 206, a.body[at:]
                    a.headers.append(("Content-Range", "bytes %d-%d/%d" % (at, size - 1, size)))
        else: return page(404)
        return a

    # ---- one connection ----

    def wait_for_close(self, s):
        while True:
            ready, _, _ = select.select([s], [], [], 60)
            if ready and not s.recv(4096): return

    def read_request(self, s, left):
        while b"\r\n\r\n" not in left:
            if len(left) > 1 << 20: return None, b""
            more = s.recv(65536)
            if not more: return None, b""
            left += more
        head, _, left = left.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3: return None, b""
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        target = words[1]
        if target.startswith("http://") and "/" in target[7:]: target = target[7 + target[7:].index("/"):]      # asked as a proxy
        return Request(target, headers, isinstance(s, ssl.SSLSocket)), left

    def send_body(self, s, a, body):
        if a.endless:
            block = b"%x\r\n%s\r\n" % (65536, bytes(65536))
            while True: s.sendall(block)
        if a.zeros:
            for at in range(0, a.zeros, 1 << 20): s.sendall(bytes(min(1 << 20, a.zeros - at)))
            return
        if a.chunked:
            step = max(1, (len(body) + 2) // 3)
            for at in range(0, len(body), step): s.sendall(b"%x\r\n%s\r\n" % (len(body[at:at + step]), body[at:at + step]))
            if not a.then: s.sendall(b"0\r\n\r\n")
            return
        if not a.rate: return s.sendall(body)
        step = max(1, int(a.rate / 10))
        for at in range(0, len(body), step):
            s.sendall(body[at:at + step])
            time.sleep(step / a.rate)

    def send(self, s, a):
        """Whether the connection can be used again."""
        if a.delay: time.sleep(a.delay)
        if a.raw is None:
            length = a.zeros or len(a.body)
            body = a.body if a.first is None else a.body[:a.first]
            head = "HTTP/1.1 %d %s\r\nServer: hostile\r\nContent-Type: %s\r\n" % (a.status, WORDS.get(a.status, "Some Words"), a.kind)
            for name, value in a.headers: head += "%s: %s\r\n" % (name, value)
            if a.chunked or a.endless: head += "Transfer-Encoding: chunked\r\n"
            elif a.declared != "" and a.status != 204: head += "Content-Length: %s\r\n" % (length if a.declared is None else a.declared)
            if a.close: head += "Connection: close\r\n"
            if a.endless_headers:
                s.sendall(head.encode("latin-1"))
                while True: s.sendall(b"X-More: more and more and more\r\n" * 1000)
            head = (head + "\r\n").encode("latin-1")
            if len(body) <= 1 << 20 and not (a.rate or a.chunked or a.endless or a.zeros): s.sendall(head + body)
            else:
                s.sendall(head)
                self.send_body(s, a, body)
        else:
            s.sendall(a.raw)
        if a.then == "stall": self.wait_for_close(s)
        if a.then == "reset":
            time.sleep(0.1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return not (a.close or a.then)

    def serve(self, s):
        hosts, left = [], b""
        with self.stats.lock:
            self.stats.connections += 1
            self.stats.open += 1
        try:
            if self.context and s.getsockname()[1] == self.tls_port:
                s.settimeout(30)
                s = self.context.wrap_socket(s, server_side=True)
            s.settimeout(600)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                request, left = self.read_request(s, left)
                if not request: break
                counted = not request.path.startswith("/_stats")
                if counted: self.stats.begin(request, hosts)
                try:
                    try: answer = self.answer(request, request.path.partition("?")[0][1:])
                    except (ValueError, IndexError): answer = page(400)
                    again = self.send(s, answer)
                finally:
                    if counted: self.stats.end(request)
                if not again or request.headers.get("connection", "").lower() == "close": break
        except (OSError, ValueError): pass                    # the client went away, or knows no such certificate
        finally:
            self.stats.gone(hosts)
            try:
                if not isinstance(s, ssl.SSLSocket): s.shutdown(socket.SHUT_WR)
            except OSError: pass
            s.close()

    # ---- listening ----

    def listen(self, port):
        sockets = []
        hosts = ["127.0.0.%d" % i for i in range(1, 10)]
        try:
            for host in hosts:
                s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sockets.append(s)
                s.bind((host, port))
                s.listen(1024)
                port = s.getsockname()[1]
        except OSError:
            for s in sockets: s.close()
            return None
        try:
            s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("::1", port))
            s.listen(1024)
            sockets.append(s)
        except OSError: pass                                  # a machine without IPv6
        return sockets

    def accept(self, s):
        while True:
            try: connection, _ = s.accept()
            except OSError:
                time.sleep(0.01)                              # no more descriptors for now
                continue
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def run(self):
        self.context, self.tls_port = None, None
        ports = []
        if self.options.tls:
            certificate, key = make_certificate(self.options)
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate, key)
        listening = []
        for _ in range(2 if self.context else 1):
            found = None
            for _ in range(100):
                found = self.listen(0)
                if found: break
            if not found: sys.exit("server.py: no port is free on 127.0.0.1 to 127.0.0.9")
            ports.append(found[0].getsockname()[1])
            listening += found
        if self.context: self.tls_port = ports[1]
        for s in listening: threading.Thread(target=self.accept, args=(s,), daemon=True).start()
        print(*ports, flush=True)
        end = time.monotonic() + self.options.lifetime
        while time.monotonic() < end and (not self.options.pid or os.path.exists("/proc/%d" % self.options.pid)): time.sleep(0.5)


def make_certificate(options):
    os.makedirs(options.tls, exist_ok=True)
    certificate, key = os.path.join(options.tls, "cert.pem"), os.path.join(options.tls, "key.pem")
    name = options.tls_name
    names = "DNS:localhost,IP:::1," + ",".join("IP:127.0.0.%d" % i for i in range(1, 10)) if name == "localhost" else "DNS:" + name
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + name, "-addext", "subjectAltName=" + names,
                    "-days", str(options.tls_days), "-keyout", key, "-out", certificate], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return certificate, key


def get(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try: return opener.open(url).read()
    except urllib.error.HTTPError as e: return e.read()


def main():
    if sys.argv[1:2] == ["--stats"]:
        value = json.loads(get("http://127.0.0.1:%s/_stats" % sys.argv[2]))
        for key in sys.argv[3:]: value = value.get(key, {}) if isinstance(value, dict) else {}
        print("-" if value == {} and len(sys.argv) > 3 else value if isinstance(value, (int, str)) else json.dumps(value, indent=1, sort_keys=True))
        return
    if sys.argv[1:2] == ["--get"]:
        sys.stdout.buffer.write(get(sys.argv[2]))
        return
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?", default=".")
    p.add_argument("--tls", metavar="FOLDER")
    p.add_argument("--tls-name", default="localhost", help="whose certificate it is; localhost: of all its addresses")
    p.add_argument("--tls-days", type=int, default=30, help="how long it is valid; 0 or less: not any more")
    p.add_argument("--robots-status", type=int, metavar="N", help="every robots.txt is answered so")
    p.add_argument("--pid", type=int)
    p.add_argument("--lifetime", type=float, default=900)
    threading.stack_size(256 << 10)
    Server(p.parse_args()).run()


try: main()
except (KeyboardInterrupt, BrokenPipeError): pass
