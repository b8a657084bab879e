#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The runtimes in a VM: nodejs:20, native executables, and what zips may hold; every quirk that OpenWhisk's own runtimes have."""
import base64
import gzip
import io
import stat
import sys
import tarfile
import zipfile

from vm import MIB, Tap, Vm, missing

ASK = """
const seen = [];
function main(args) {
    if (args.log) { console.log("to stdout"); console.error("to stderr"); }
    if (args.sync) throw new Error("thrown");
    if (args.reject) return Promise.reject(args.reject === true ? undefined : args.reject);
    if (args.rejectError) return Promise.reject(Object.assign(new TypeError("typed"), { code: 7 }));
    if ("give" in args) return args.give;
    if (args.nothing) return undefined;
    if (args.late) return new Promise(resolve => setTimeout(() => resolve({ late: true }), 20));
    if (args.exit) process.exit(3);
    seen.push(args);
    return { args, env: process.env[args.env], calls: seen.length };
}
"""


def zipped(**files):
    """A zip in base64; a name's __dot__ is a dot, __slash__ a slash. A value may be (text, mode)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            text, mode = content if isinstance(content, tuple) else (content, stat.S_IFREG | 0o644)
            info = zipfile.ZipInfo(name.replace("__dot__", ".").replace("__slash__", "/"))
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text)
    return base64.b64encode(buffer.getvalue()).decode()


class World:
    def __init__(self, agent, tap):
        self.agent, self.check, self.count = agent, tap.check, 0

    def make(self, kind, **more):
        self.count += 1
        name = "k%d" % self.count
        status, answer = self.agent.call("POST", "/v1/containers", {"id": name, "kind": kind, "memory_bytes": 192 * MIB, "tmpfs_bytes": 48 * MIB,
                                                                     "pids_max": 64, "claim": False, "timeout_ms": 120000, **more})
        if status != 201:
            self.check(False, "a container of kind %s is made" % kind, answer)
        return "/v1/containers/" + name

    def init(self, path, code, main="main", binary=False, env=None):
        return self.agent.call("POST", path + "/init", {"value": {"name": "f", "main": main, "code": code, "binary": binary, "env": env or {}},
                                                        "timeout_ms": 60000})

    def run(self, path, value, **more):
        return self.agent.call("POST", path + "/run", {"value": value, "timeout_ms": 60000, **more})

    def end(self, path):
        self.agent.call("DELETE", path)

    def with_code(self, kind, code, **more):
        """A container with this code; (path, status, answer of the init)."""
        path = self.make(kind)
        return (path, *self.init(path, code, **more))


def test_node_answers(world):
    check = world.check
    path, status, answer = world.with_code("nodejs:20", ASK, env={"GIVEN": "at init"})
    check(status == 200, "nodejs: plain source", answer)
    status, answer = world.run(path, {"env": "GIVEN"}, activation_id="a1")
    check(status == 200 and answer["result"] == {"args": {"env": "GIVEN"}, "env": "at init", "calls": 1}, "arguments and environment of init", answer)
    answer = world.run(path, {"env": "__OW_ACTIVATION_ID"}, activation_id="a2")[1]
    check(answer.get("result", {}).get("env") == "a2" and answer["result"]["calls"] == 2, "the environment of a run; the instance is the same", answer)
    for value, result, text in (({"nothing": True}, {}, "undefined is {}"), ({"late": True}, {"late": True}, "a promise is waited for"),
                                ({"give": [1, 2]}, [1, 2], "an array is a result"), ({"reject": {"a": 1}}, {"error": {"a": 1}}, "a rejection is an error"),
                                ({"reject": True}, {"error": {}}, "an empty rejection is {}"), ({"give": {"error": 5}}, {"error": 5}, "an error may be returned")):
        status, answer = world.run(path, value)
        check(status == 200 and answer["result"] == result, "nodejs: " + text, answer)
    status, answer = world.run(path, {"rejectError": True})
    error = answer.get("result", {}).get("error", {})
    check(status == 200 and (error.get("name"), error.get("message"), error.get("code")) == ("TypeError", "typed", 7), "a rejected Error shows its parts", answer)
    status, answer = world.run(path, {"log": True})
    lines = sorted((line["stream"], line["text"]) for line in answer["logs"])
    check(lines == [("stderr", "to stderr"), ("stdout", "to stdout")], "nodejs: both log streams", answer)
    world.end(path)


def test_node_breaks(world):
    check = world.check
    for value, reason, text in (({"sync": True}, "run-error", "An error has occurred: Error: thrown"),
                                ({"give": 7}, "run-error", "The action did not return a dictionary."),
                                ({"give": "text"}, "run-error", "The action did not return a dictionary."), ({"exit": True}, "exited", "status 3")):
        path = world.with_code("nodejs:20", ASK)[0]
        status, answer = world.run(path, value)
        check(status == 502 and answer["reason"] == reason and text in answer["error"], "nodejs: %s ends the instance" % (value,), answer)
        check(world.run(path, {})[0] == 502, "and it takes no call any more")
        world.end(path)
    for code, main, text in (("function main( {", "main", "SyntaxError"), ("let x = 1", "main", "Action entrypoint 'main' is not a function."),
                             ("function main() {}", "other", "Action entrypoint 'other' is not a function."), ("throw new Error('early')", "main", "early"),
                             ("", "main", "Missing main/no code to execute."), ("function main() {}", "a(b)", "is not a function")):
        path, status, answer = world.with_code("nodejs:20", code, main=main)
        check(status == 502 and answer["reason"] == "init-error" and text in answer["error"], "nodejs: init with %r" % code, answer)
        world.end(path)


def test_node_code(world):
    check = world.check
    modules = {"package__dot__json": '{"main": "lib/start.js"}', "lib__slash__start__dot__js": "exports.main = a => ({ from: require('dep').name, read: "
               "require('fs').readFileSync('data.txt', 'utf8') }); exports.other = () => ({ other: true });",
               "node_modules__slash__dep__slash__index__dot__js": "exports.name = 'dep';", "data__dot__txt": "content"}
    path, status, answer = world.with_code("nodejs:20", zipped(**modules), binary=True)
    answer = world.run(path, {})[1] if status == 200 else answer
    check(answer.get("result") == {"from": "dep", "read": "content"}, "nodejs: a zip with package.json and node_modules", answer)
    world.end(path)
    path = world.with_code("nodejs:20", zipped(index__dot__js="exports.f = () => ({ index: true })"), main="f", binary=True)[0]
    check(world.run(path, {})[1].get("result") == {"index": True}, "nodejs: a zip with index.js, another entry")
    world.end(path)
    path = world.with_code("nodejs:20", zipped(index__dot__js="", tool__dot__js="exports.f = () => ({ tool: true })"), main="tool.f", binary=True)[0]
    check(world.run(path, {})[1].get("result") == {"tool": True}, "nodejs: an entry in another file")
    world.end(path)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("index.js")
        data = b"exports.main = () => ({ tar: true })"
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    path = world.with_code("nodejs:20", base64.b64encode(gzip.compress(buffer.getvalue())).decode(), binary=True)[0]
    check(world.run(path, {})[1].get("result") == {"tar": True}, "nodejs: a tar.gz")
    world.end(path)
    path = world.with_code("nodejs:20", "exports.main = async () => ({ v: process.version.split('.')[0], p: ['openwhisk', 'redis', 'uuid', 'serialize-error']"
                           ".map(n => typeof require.resolve(n)) })")[0]
    result = world.run(path, {})[1].get("result")
    check(result == {"v": "v20", "p": ["string"] * 4}, "nodejs: version 20, with the packages of OpenWhisk's image", result)
    world.end(path)
    bad = {"leads out of it": zipped(__dot____dot____slash__x="1", index__dot__js=""), "neither file nor folder": zipped(link=("/etc/passwd", stat.S_IFLNK | 0o777)),
           "must contain either package.json or index.js": zipped(readme="x"), "Unsupported archive": base64.b64encode(b"nothing of the sort").decode()}
    for text, code in bad.items():
        path, status, answer = world.with_code("nodejs:20", code, binary=True)
        check(status == 502 and text in str(answer["error"]), "nodejs: an archive is refused: %s" % text, answer)
        world.end(path)
    bomb = zipped(index__dot__js="", zeros=b"\0" * (64 * MIB))
    path, status, answer = world.with_code("nodejs:20", bomb, binary=True)
    check(status == 502, "nodejs: a zip bomb ends at the instance's limit", answer)
    world.end(path)


TOGETHER = """
const waiting = [];
async function main(args) {
    if (args.sync) throw new Error("thrown");
    if (args.spin) for (;;);
    if (args.hang) return new Promise(() => {});
    console.log("line of " + args.n);
    const inside = await new Promise(resolve => {
        waiting.push(resolve);
        if (waiting.length === args.meet) waiting.splice(0).forEach(go => go(args.meet));
    });
    await new Promise(resolve => setTimeout(resolve, 10 * (args.meet - args.n)));
    return { n: args.n, inside };
}
"""


def test_together(world):
    """limits.concurrency above 1: calls of one instance that can only end if all of them are in it at once."""
    check = world.check
    agent = world.agent
    path = world.make("nodejs:20", concurrency=8)
    check(world.init(path, TOGETHER)[0] == 200, "together: init")
    tags = [agent.start("POST", path + "/run", {"value": {"n": i, "meet": 8}, "timeout_ms": 60000}) for i in range(8)]
    answers = [agent.wait(tag) for tag in tags]
    check([(status, answer.get("result", {}).get("n"), answer.get("result", {}).get("inside")) for status, answer in answers] ==
          [(200, i, 8) for i in range(8)], "together: eight at once, each has its own answer", answers)
    lines = [line["text"] for _, answer in answers for line in answer.get("logs", [])]
    check(sorted(lines) == ["line of %d" % i for i in range(8)], "together: no log line is lost or told twice", lines)
    held = [agent.start("POST", path + "/run", {"value": {"n": i, "meet": 9}, "timeout_ms": 60000}) for i in range(8)]
    status, answer = agent.call("POST", path + "/run", {"value": {"n": 8, "meet": 9}})
    check(status == 409 and answer["reason"] == "busy", "together: a ninth is refused", answer)
    status, answer = agent.call("DELETE", path)
    ends = [agent.wait(tag) for tag in held]
    check(status == 200 and all(end[0] == 502 and end[1]["reason"] == "exited" for end in ends), "together: ended from outside", answer, ends)
    path = world.make("nodejs:20", concurrency=3)
    world.init(path, TOGETHER)
    hang = agent.start("POST", path + "/run", {"value": {"hang": True}, "timeout_ms": 500})
    good = agent.start("POST", path + "/run", {"value": {"n": 0, "meet": 1}, "timeout_ms": 60000})
    check(agent.wait(good)[1].get("result", {}).get("n") == 0, "together: one goes on beside another that hangs")
    good = agent.start("POST", path + "/run", {"value": {"n": 0, "meet": 2}, "timeout_ms": 20000})
    status, answer = agent.wait(hang)
    check(status == 502 and answer["reason"] == "timeout", "together: that one runs out of time", answer)
    check(agent.call("POST", path + "/run", {"value": {}})[0] == 502, "together: then no new one is taken")
    state = [c["state"] for c in agent.call("GET", "/v1/containers")[1]["containers"] if "/v1/containers/" + c["id"] == path]
    check(state == ["running"], "together: the other one is left to go on", state)
    world.end(path)
    check(agent.wait(good)[0] == 502, "together: until it is ended")
    path = world.make("nodejs:20", concurrency=2)
    world.init(path, TOGETHER.replace("throw new Error", "process.exit(3); new Error"))
    other = agent.start("POST", path + "/run", {"value": {"hang": True}, "timeout_ms": 60000})
    status, answer = agent.call("POST", path + "/run", {"value": {"sync": True}, "timeout_ms": 60000})
    ended = agent.wait(other)
    check([status, ended[0]] == [502, 502] and answer["reason"] == ended[1]["reason"] == "exited", "together: an exit ends all", answer, ended)
    world.end(path)
    path = world.make("nodejs:20", concurrency=2)
    world.init(path, TOGETHER)
    tags = [agent.start("POST", path + "/run", {"value": value, "timeout_ms": 1000}) for value in ({"spin": True}, {"n": 0, "meet": 1})]
    reasons = [answer.get("reason") for _, answer in (agent.wait(tag) for tag in tags)]
    check(reasons == ["timeout"] * 2, "together: a loop that never yields holds up all, until each one's limit", reasons)
    world.end(path)
    for kind, number in (("python:3", 2), ("nodejs:20", 501), ("nodejs:20", 0)):
        status, answer = agent.call("POST", "/v1/containers", {"id": "x", "kind": kind, "memory_bytes": 128 * MIB, "concurrency": number})
        check(status == 400 and "concurrency" in answer["error"], "together: %s with a concurrency of %d is refused" % (kind, number), answer)


def test_native(world):
    check = world.check
    script = "#!/bin/sh\necho a log line\nread line\nprintf '{\"first\": %s, \"stdin\": %s}' \"$1\" \"$line\"\n"
    for code, binary, text in ((script, False, "a script"), (zipped(exec=(script, stat.S_IFREG | 0o755)), True, "a zip with exec")):
        path, status, answer = world.with_code("native", code, binary=binary)
        check(status == 200, "native: %s is taken" % text, answer)
        for i in range(2):
            status, answer = world.run(path, {"n": i})
            check(status == 200 and answer["result"] == {"first": {"n": i}, "stdin": {"n": i}}, "native: arguments both ways, call %d" % i, answer)
        check([line["text"] for line in answer["logs"]] == ["a log line"], "native: what is before the last line is log", answer)
        world.end(path)
    loop = ("#!/usr/bin/python3\nimport json, os, sys\nos.write(3, b'{\"ok\": true}\\n')\ncount = 0\nfor line in sys.stdin:\n    count += 1\n"
            "    print('logged', flush=True)\n    os.write(3, json.dumps({'count': count, 'value': json.loads(line)['value']}).encode() + b'\\n')\n")
    path, status, answer = world.with_code("native", loop, main="actionloop")
    check(status == 200, "native: an ActionLoop program is started", answer)
    for i in (1, 2):
        status, answer = world.run(path, {"x": i})
        check(status == 200 and answer["result"] == {"count": i, "value": {"x": i}}, "native: it lives from call to call (%d)" % i, answer)
    world.end(path)
    for code, main, reason, text in (("#!/bin/sh\necho no json\n", "main", "run-error", "did not return a dictionary"),
                                     ("#!/bin/sh\nexit 3\n", "main", "run-error", "exited unexpectedly")):
        path = world.with_code("native", code, main=main)[0]
        status, answer = world.run(path, {})
        check(status == 502 and answer["reason"] == reason and text in answer["error"], "native: %s" % text, answer)
        world.end(path)
    for code, main, binary in (("#!/bin/sh\necho no\n", "actionloop", False), (zipped(other="x"), "main", True), ("", "main", False)):
        path, status, answer = world.with_code("native", code, main=main, binary=binary)
        check(status == 502 and answer["reason"] == "init-error", "native: init with %r is refused" % code[:20], answer)
        world.end(path)


def test_python(world):
    check = world.check
    venv = {"__main____dot__py": "import extra\ndef main(args):\n    return {'extra': extra.NAME}\n",
            "virtualenv__slash__bin__slash__activate_this__dot__py": "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), 'lib'))\n",
            "virtualenv__slash__lib__slash__extra__dot__py": "NAME = 'from the virtualenv'\n"}
    path, status, answer = world.with_code("python:3.11", zipped(**venv), binary=True)
    answer = world.run(path, {})[1] if status == 200 else answer
    check(answer.get("result") == {"extra": "from the virtualenv"}, "python:3.11: a zip with a virtualenv", answer)
    world.end(path)
    path, status, answer = world.with_code("python:3", zipped(other__dot__py="x"), binary=True)
    check(status == 502 and any("does not include __main__" in line["text"] for line in answer["logs"]), "python: a zip without __main__", answer)
    world.end(path)


def main():
    tap = Tap()
    lack = missing()
    if lack:
        print("not ok 1 - %s\n1..1" % lack)
        return 1
    with Vm() as vm:
        agent = vm.agent()
        status, hello = agent.call("GET", "/v1/hello")
        tap.check(status == 200, "the agent is there", hello, vm.log())
        world = World(agent, tap)
        for test in (test_node_answers, test_node_breaks, test_node_code, test_together, test_native, test_python):
            test(world)
        status, _ = agent.call("POST", "/v1/containers", {"id": "x", "kind": "perl:5", "memory_bytes": 128 * MIB})
        tap.check(status == 400, "an unknown kind is refused")
        agent.close()
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
