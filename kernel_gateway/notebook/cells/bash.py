# pyright: basic, reportOptionalMemberAccess=false, reportCallIssue=false
# `%%bash` cells share one bash process: its folder, variables, functions, options and jobs last from cell to cell.
def _cell_gateway():
    import atexit, codecs, contextlib, fcntl, os, re, select, shlex, shutil, signal, subprocess, sys, tempfile, threading, time  # noqa: E401, I001  # fmt: skip
    from IPython import get_ipython
    from pathlib import Path

    folder = Path(tempfile.mkdtemp(prefix="bash-"))
    script, state = (shlex.quote(str(folder / name)) for name in ("script", "state"))
    # What a new shell takes over when this one ends (`exit`, `set -e`, a kill); written after each cell and at a shell's end.
    save = "{ shopt -p; declare -p; declare -f; declare -F; alias -p; umask -p; trap -p; printf 'cd %q\\n' \"$PWD\"; set +o; }"
    save = f"{save} >|{state} 2>/dev/null || :"

    class Bash:
        process, cells, deadline = None, 0, None

        def start(self):
            if not (path := shutil.which("bash")):
                raise brief(RuntimeError("%%bash cells need bash 4.4 or newer on PATH."))
            pipes = [os.pipe() for _ in range(3)]
            (self.stdout, out), (self.stderr, err), (self.status, status) = pipes
            command = ["bash", "--norc", "--noprofile", "--noediting", "-i", "+m", "+H"]
            own = {
                "stdin": subprocess.PIPE,
                "stdout": subprocess.DEVNULL,
                "stderr": subprocess.DEVNULL,
                "start_new_session": True,
            }
            self.process = subprocess.Popen(command, bufsize=0, executable=path, pass_fds=(out, err, status), **own)
            self.decoders = {fd: codecs.getincrementaldecoder("utf-8")("replace") for fd in (self.stdout, self.stderr)}
            self.poll = select.poll()
            for read, write in pipes:
                os.close(write)
                os.set_blocking(read, False)
                self.poll.register(read, select.POLLIN)
                with contextlib.suppress(OSError, AttributeError):
                    fcntl.fcntl(read, fcntl.F_SETPIPE_SZ, 1 << 20)
            # The shell's own output (prompts, traces of these lines) goes nowhere; a cell's goes to 96 and 97, its status to 98.
            self.send(f"exec 96>&{out} 97>&{err} 98>&{status} {out}>&- {err}>&- {status}>&-; set +o history")
            self.send(f"unset PROMPT_COMMAND MAILCHECK; trap {shlex.quote(save)} EXIT; . {state}")

        def stop(self):
            if self.process:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                self.close()
            (folder / "state").unlink(missing_ok=True)

        def close(self):
            for fd in (self.stdout, self.stderr, self.status):
                os.close(fd)
            self.process.stdin.close()
            self.process = None

        def send(self, line):
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(line.encode() + b"\n")

        def report(self):
            self.send(f"\\builtin printf '{self.cells} %d\\n' \"$?\" >&98")

        def interrupt(self, *_):
            self.deadline = self.deadline or time.monotonic() + 3
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGINT)
            self.report()  # The signal may have cost the line that was being read.

        def copy(self, fd):
            with contextlib.suppress(BlockingIOError):
                data = os.read(fd, 65536)
                (sys.stdout if fd == self.stdout else sys.stderr).write(self.decoders[fd].decode(data))
                return data

        def follow(self):
            reports = b""
            while not (found := re.search(rb"^%d (\d+)\n" % self.cells, reports, re.M)) and self.process.poll() is None:
                for fd, _ in self.poll.poll(200):
                    if fd != self.status:
                        self.copy(fd)
                    elif data := os.read(fd, 4096):
                        reports += data
                if self.deadline and time.monotonic() > self.deadline:
                    os.killpg(self.process.pid, signal.SIGKILL)
            for fd, decoder in self.decoders.items():
                # What was written before the report is in the pipe: 1 MB at most.
                all(self.copy(fd) for _ in range(16))
                (sys.stdout if fd == self.stdout else sys.stderr).write(decoder.decode(b"", True))
            return int(found[1]) if found else self.process.wait()

        def run(self, text):
            if self.process and self.process.poll() is not None:
                self.close()
            if not self.process:
                self.start()
            folder.mkdir(mode=0o700, exist_ok=True)
            (folder / "script").write_text(text, "utf-8", "surrogateescape")
            self.cells, self.deadline = self.cells + 1, None
            in_main = threading.current_thread() is threading.main_thread()
            previous = signal.signal(signal.SIGINT, self.interrupt) if in_main else None
            try:
                self.send(f"\\builtin source /dev/fd/99 99<{script} </dev/null >&96 2>&97 96>&- 97>&- 98>&-")
                self.report()
                self.send(save)
                status = self.follow()
            finally:
                if in_main:
                    signal.signal(signal.SIGINT, previous)
            if status < 0:
                print("bash was killed; a new one has the folder and variables from before this cell.", file=sys.stderr)
            if self.deadline:
                raise brief(KeyboardInterrupt())
            if status:
                raise brief(subprocess.CalledProcessError(status, "bash"))

    def brief(error):
        error._render_traceback_ = lambda: [f"{type(error).__name__}: {error}".rstrip(": ")]
        return error

    def run_cell(line, cell):
        return plain(line, cell) if line.strip() else bash.run(cell)

    shell, bash = get_ipython(), Bash()
    if "bash_restart" not in shell.magics_manager.magics["line"]:
        plain = shell.find_cell_magic("bash")
        shell.register_magic_function(run_cell, "cell", "bash")
        shell.register_magic_function(lambda line: bash.stop(), "line", "bash_restart")
        atexit.register(lambda: (bash.stop(), shutil.rmtree(folder, ignore_errors=True)))


type(_cell_gateway)(_cell_gateway.__code__, {"__builtins__": __builtins__})()  # In a namespace of its own.
del _cell_gateway
