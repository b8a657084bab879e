# SPDX-License-Identifier: Apache-2.0
"""The runtime of native actions (OpenWhisk's dockerskeleton): an executable instead of code in a language.

ActionLoop contract with the agent, as runtimes/python/launcher.py. The code is a zip with a file `exec` at its root, or one executable (a
program in base64, or a script's text). Two protocols:

exec (default)      started for each call with the arguments as JSON in $1 and on standard input; the last line of its standard output is the
                    result, everything before is log.
actionloop          with "main": "actionloop". Started once; a line with the request on standard input, a line with the result on descriptor 3.
"""
import binascii
import json
import os
import sys

subprocess = None  # main() imports it
ACTION = "/action"
EXEC = os.path.join(ACTION, "exec")
NO_CODE = "Missing main/no code to execute."
NO_START = "Cannot start action. Check logs for details."


def answer(line):
    rest = memoryview(line + b"\n")
    while rest:
        rest = rest[os.write(3, rest):]


def encode(value):
    return json.dumps(value).encode("ascii")


def unpack(value):
    """Puts the executable at /action/exec."""
    code = value["code"]
    data = binascii.a2b_base64(code, strict_mode=True) if value.get("binary") else code.encode()
    if data[:4] == b"PK\x03\x04":
        import io
        import zipfile

        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(ACTION)
    else:
        with open(EXEC, "wb") as file:
            file.write(data)
    os.chmod(EXEC, 0o755)


class Loop:
    """A program that speaks ActionLoop itself."""

    def __init__(self):
        read, write = os.pipe()
        nothing, self.requests = os.pipe()
        os.set_inheritable(write, True)

        def place():
            # Descriptor 3 is the agent's in this process and the result's in that one.
            os.dup2(write, 3)

        self.process = subprocess.Popen([EXEC], stdin=nothing, pass_fds=(3,), preexec_fn=place, cwd=ACTION)
        os.close(write)
        os.close(nothing)
        self.results = os.fdopen(read, "rb")
        first = json.loads(self.results.readline() or b"{}")
        if not isinstance(first, dict) or first.get("ok") is not True:
            raise RuntimeError('the program did not say {"ok":true} on descriptor 3')

    def run(self, line):
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self.requests, rest):]
        result = self.results.readline()
        if not result.endswith(b"\n"):
            raise RuntimeError("the program ended without a result")
        return result[:-1]


class Once:
    """A program that is started for each call."""

    @staticmethod
    def run(line):
        request = json.loads(line)
        for key, text in request.items():
            if key != "value" and isinstance(text, str):
                os.environ["__OW_" + key.upper()] = text
        arguments = json.dumps(request.get("value") or {})
        # Longer than what the kernel takes as one argument: the standard input has it all the same.
        command = [EXEC, arguments] if len(arguments) < 131072 else [EXEC]
        done = subprocess.run(command, input=arguments.encode(), stdout=subprocess.PIPE, cwd=ACTION, check=False)
        lines = done.stdout.rstrip(b"\n").split(b"\n")
        for text in lines[:-1]:
            sys.stdout.buffer.write(text + b"\n")
        sys.stdout.flush()
        try:
            if isinstance(json.loads(lines[-1]), (dict, list)):
                return lines[-1]
        except ValueError:
            pass
        if done.returncode != 0:
            return b"!" + encode({"error": "The action did not produce a valid response and exited unexpectedly."})
        return b"!" + encode({"error": "The action did not return a dictionary or array."})


def init(value):
    """Returns (runner, None) or (None, what to tell the caller)."""
    if not value.get("code"):
        return None, NO_CODE
    for key, text in (value.get("env") or {}).items():
        os.environ[key] = text if isinstance(text, str) else json.dumps(text)
    try:
        unpack(value)
        return (Loop() if value.get("main") == "actionloop" else Once()), None
    except Exception as error:  # whatever the archive or the program does
        print(error, file=sys.stderr)
        return None, NO_START


def main():
    global subprocess
    requests = os.fdopen(os.dup(0), "rb", 65536)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.set_inheritable(3, False)
    runner = None
    answer(b'{"ok":true}')
    # Every action needs it and it takes long: while the agent brings the code.
    import subprocess

    for line in requests:
        if runner is None:
            runner, failure = init(json.loads(line)["value"])
            reply = encode({"error": failure} if failure else {"ok": True})
        else:
            reply = runner.run(line)
        sys.stdout.flush()
        sys.stderr.flush()
        answer(reply)


if __name__ == "__main__":
    main()
