# SPDX-License-Identifier: Apache-2.0
"""The runtime of kind python:3: speaks the ActionLoop contract with the agent.

Started before there is any code: says {"ok":true} on descriptor 3 when it is up. The first line on standard input is OpenWhisk's /init body,
each further one a /run body; each is answered by one line of JSON on descriptor 3. Standard output and standard error are the function's logs.
"""
import _sitebuiltins
import builtins
import json
import os
import sys

ACTION = "/action"
NO_CODE = "Missing main/no code to execute."
NO_BINARY = "The action failed to generate or locate a binary. See logs for details."
NO_START = "Cannot start action. Check logs for details."


def answer(line):
    """Writes one line to descriptor 3, whatever its size."""
    rest = memoryview(line + b"\n")
    while rest:
        rest = rest[os.write(3, rest):]


def encode(value):
    text = json.dumps(value, ensure_ascii=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates have no UTF-8
        return json.dumps(value).encode("ascii")


def print_trace():
    import traceback

    # Without the launcher's own frame.
    kind, error, trace = sys.exc_info()
    traceback.print_exception(kind, error, trace.tb_next if trace else None)


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass


def unpack(code):
    """A zip in base64 with __main__.py at its root. Returns its source."""
    import base64
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(base64.b64decode(code, validate=True))) as archive:
        archive.extractall(ACTION)
    activate = os.path.join(ACTION, "virtualenv", "bin", "activate_this.py")
    if os.path.exists(activate):
        with open(activate, encoding="utf-8") as file:
            exec(compile(file.read(), activate, "exec"), {"__file__": activate})  # pylint: disable=exec-used
    path = os.path.join(ACTION, "__main__.py")
    if not os.path.exists(path):
        raise FileNotFoundError("Zip file does not include __main__")
    with open(path, encoding="utf-8") as file:
        return path, file.read()


def save(code):
    path = os.path.join(ACTION, "main__.py")
    with open(path, "w", encoding="utf-8") as file:
        file.write(code)
    return path, code


def compile_code(value):
    path, source = unpack(value["code"]) if value.get("binary") else save(value["code"])
    return compile(source, path, "exec")


def load(program, name):
    """Runs the module and returns its entry function."""
    module = type(sys)("main__")
    module.__file__ = program.co_filename
    sys.modules["main__"] = module
    exec(program, module.__dict__)  # pylint: disable=exec-used
    function = getattr(module, name)
    if not callable(function):
        raise TypeError("%s is not a function" % name)
    return function


def init(value):
    """Returns (function, None) or (None, what to tell the caller)."""
    if not value.get("code"):
        return None, NO_CODE
    for key, text in (value.get("env") or {}).items():
        os.environ[key] = text if isinstance(text, str) else encode(text).decode()
    failure = NO_BINARY
    try:
        program = compile_code(value)
        failure = NO_START
        return load(program, value.get("main") or "main"), None
    except Exception:  # whatever the function's code does
        print_trace()
        return None, failure


def run(function, request):
    for key, text in request.items():
        if key != "value" and isinstance(text, str):
            os.environ["__OW_" + key.upper()] = text
    try:
        return encode(function(request.get("value") or {}))
    except Exception as error:  # an error of the function is its result
        print_trace()
        return encode({"error": str(error)})


def main():
    requests = os.fdopen(os.dup(0), "rb", 65536)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.set_inheritable(3, False)
    # Started without the site module, which costs time; what functions expect of it is this.
    sys.path[:0] = [ACTION]
    sys.path += ["/usr/lib/python3/dist-packages"]
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D")
    builtins.quit = builtins.exit
    os.chdir(ACTION)
    function = None
    answer(b'{"ok":true}')
    for line in requests:
        request = json.loads(line)
        if function is None:
            function, failure = init(request["value"])
            reply = encode({"error": failure} if failure else {"ok": True})
        else:
            reply = run(function, request)
        flush()
        answer(reply)


if __name__ == "__main__":
    main()
