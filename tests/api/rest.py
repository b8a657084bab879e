#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The REST surface: what OpenWhisk's clients see. No VM: squeezyd runs on tests/tools/fake-qemu."""
import base64
import concurrent.futures
import json
import re
import resource
import socket
import sys
import time

from harness import Daemon, annotation, contains, equal, main, until

NS = "/api/v1/namespaces/_"


def info_needs_no_key():
    with Daemon() as daemon:
        equal(daemon.request("GET", "/ping", auth=False).body, "pong")
        root = daemon.request("GET", "/", auth=False).json
        equal(root["api_paths"], ["/api/v1"])
        equal(root["limits"]["max_action_duration"], 300000)
        equal(root["runtimes"]["python"][0]["kind"], "python:3")
        api = daemon.request("GET", "/api/v1", auth=False).json
        equal(api["description"], "OpenWhisk API")
        equal(isinstance(api["build"], str), True)
        equal(daemon.request("GET", "/invokers", auth=False).json, {"invoker0/squeezyd": "up"})
        equal(daemon.request("GET", "/invokers/healthy/count", auth=False).json, 1)
        equal(daemon.request("GET", "/invokers/ready", auth=False).json, {"healthy": "1/1"})
        equal(daemon.request("GET", "/activation/count", auth=False).json, 0)
        daemon.action("slow", "sleep 60000")
        daemon.invoke("slow", {}, "")
        equal(daemon.request("GET", "/activation/count", auth=False).json, 1)


def routes_are_documented():
    """The document names every route, says what it takes, and each of its paths is one that is served."""
    with Daemon() as daemon:
        docs = daemon.request("GET", "/api/v1/api-docs", auth=False).json
        equal((docs["swagger"], docs["basePath"]), ("2.0", "/api/v1"))
        action = docs["paths"]["/namespaces/{namespace}/actions/{packageName}/{actionName}"]
        equal(sorted(action), ["delete", "get", "post", "put"])
        equal([p["name"] for p in action["post"]["parameters"]], ["namespace", "packageName", "actionName", "blocking", "result", "timeout", "body"])
        equal("/namespaces/{namespace}/actions/{packageName}/" in docs["paths"], True)
        equal("since" in [p["name"] for p in docs["paths"]["/namespaces/{namespace}/activations"]["get"]["parameters"]], True)
        equal(docs["paths"]["/namespaces/{namespace}/limits"]["get"]["parameters"][1:], [])
        equal(len(docs["paths"]["/web/{namespace}/{packageName}/{actionName}/{*}"]), 7)
        equal("security" in docs["paths"]["/api-docs"]["get"], False)
        for path, verbs in docs["paths"].items():
            names = [p["name"] for p in next(iter(verbs.values()))["parameters"] if p["in"] == "path"]
            equal(len(names), len(set(names)), path)
            served = path
            for name in names:
                equal("{%s}" % name in path, True, path)
                served = served.replace("{%s}" % name, "_" if name == "namespace" else "nothing")
            if "get" in verbs and "nothing" not in served:
                equal(daemon.request("GET", docs["basePath"] + served).status, 200, path)


def key_is_asked_for():
    with Daemon() as daemon:
        for auth in (False, "a:b", daemon.key[:-1] + "!", daemon.key + "x", daemon.key.split(":")[0] + ":"):
            answer = daemon.request("GET", NS + "/actions", auth=auth)
            equal(answer.status, 401)
            contains(answer.headers["WWW-Authenticate"], "OpenWhisk secure realm")
            contains(answer.json["error"], "The supplied authentication is invalid")
        for scheme in ("Bearer x", "Basic", "Basic ", "Basic !!!", "basic"):
            equal(daemon.request("GET", NS + "/actions", auth=False, headers={"Authorization": scheme}).status, 401)
        equal(daemon.request("GET", NS + "/actions").status, 200)
        equal(daemon.request("GET", "/squeezy/v1/status", auth=False).status, 401)


def transaction_id_comes_back():
    with Daemon() as daemon:
        equal(daemon.request("GET", "/ping", headers={"x-request-id": "mine-1"}).headers["X-Request-ID"], "mine-1")
        for given in ("sid_x", "a" * 200, "a b"):
            seen = daemon.request("GET", "/ping", headers={"X-Request-ID": given}).headers["X-Request-ID"]
            equal((len(seen), seen.isalnum()), (32, True))
        error = daemon.request("GET", NS + "/actions/none", headers={"X-Request-ID": "t7"})
        equal(error.json, {"error": "The requested resource does not exist.", "code": "t7"})


def inspect_asks_the_agent():
    with Daemon() as daemon:
        daemon.action("hello", "run")
        daemon.invoke("hello")
        vm = daemon.request("GET", "/squeezy/v1/status").json["vms"][0]["id"]
        answer = daemon.request("GET", f"/squeezy/v1/vms/{vm}/partitions/0")
        equal((answer.status, answer.json["busy_reason"], answer.json["holders"]["references"]), (200, "references", 8192))
        equal(daemon.request("GET", f"/squeezy/v1/vms/{vm}/partitions/7").status, 404)
        equal(daemon.request("GET", "/squeezy/v1/vms/none/partitions/0").status, 404)
        for bad in ("x", "-1", "1x", "10000"):
            equal(daemon.request("GET", f"/squeezy/v1/vms/{vm}/partitions/{bad}").status, 400)
        equal(daemon.request("GET", f"/squeezy/v1/vms/{vm}/partitions/0", auth=False).status, 401)
        told = daemon.cli("inspect", vm, "0")
        contains(told, "8 KiB")
        contains(told, "?[2Jcat")
        contains(told, "fd 5, pipe with 8192 bytes")


def wrong_paths_and_verbs():
    with Daemon() as daemon:
        equal(daemon.request("GET", "/nowhere").status, 404)
        equal(daemon.request("GET", NS + "/actions/a/b/c").status, 404)
        equal(daemon.request("DELETE", NS + "/activations/" + "0" * 32).status, 405)
        equal(daemon.request("POST", NS + "/actions").status, 405)
        equal(daemon.request("GET", "/api/v1/namespaces/other/actions").status, 403)
        equal(daemon.request("GET", NS + "/actions/%00").status, 404)
        equal(daemon.request("GET", NS + "/actions/pkg/name").status, 404)
        equal(daemon.request("GET", "/" + "x" * 9000).status, 414)
        options = daemon.request("OPTIONS", NS + "/actions/a", auth=False)
        equal((options.status, options.headers["Access-Control-Allow-Origin"]), (200, "*"))
        equal(daemon.request("GET", "/api/v1/namespaces").json, ["guest"])


def actions_are_kept():
    with Daemon() as daemon:
        path = NS + "/actions/a%20b"
        body = {"exec": {"kind": "python:default", "code": "def main(a): return a"}, "limits": {"memory": 300}}
        first = daemon.request("PUT", path, body)
        equal((first.status, first.json["name"], first.json["version"]), (200, "a b", "0.0.1"))
        equal(first.json["exec"]["kind"], "python:3")
        equal(daemon.request("PUT", path, body).json["error"], "resource already exists")
        equal(daemon.request("PUT", path, body).status, 409)
        second = daemon.request("PUT", path + "?overwrite=true", {"limits": {"timeout": 1000}})
        equal((second.json["version"], second.json["limits"]["memory"]), ("0.0.2", 300))
        equal("code" in daemon.request("GET", path + "?code=false").json["exec"], False)
        equal(daemon.request("GET", path).json, second.json)
        equal(daemon.request("GET", NS + "/actions?count=true").json, {"actions": 1})
        equal(daemon.request("GET", "/api/v1/namespaces/guest/actions").json[0]["exec"], {"binary": False})
        equal(daemon.request("DELETE", path).json["name"], "a b")
        equal(daemon.request("GET", path).status, 404)
        equal(daemon.request("DELETE", path).status, 404)


def bad_actions_are_refused():
    good = {"kind": "python:3", "code": "x y"}
    cases = [
        ({}, 400, "exec undefined"),
        ({"exec": {"kind": "perl:5", "code": "x"}}, 400, "The specified runtime 'perl:5' is not supported by this platform."),
        ({"exec": good, "limits": {"memory": 64}}, 400, "memory size 64 MB below allowed threshold of 128 MB"),
        ({"exec": good, "limits": {"timeout": 300001}}, 400, "duration 300001 milliseconds exceeds allowed threshold of 300000 milliseconds"),
        ({"exec": good, "limits": {"concurrency": 501}}, 400, "concurrency 501 exceeds allowed threshold of 500"),
        ({"exec": {"kind": "python:3", "code": "x" * ((48 << 20) + 1)}}, 413, "exec larger than allowed:"),
        ({"exec": good, "parameters": [{"key": "k", "value": "v" * (1 << 20)}]}, 413, "parameters larger than allowed:"),
    ]
    with Daemon() as daemon:
        for body, status, text in cases:
            answer = daemon.request("PUT", NS + "/actions/bad", body)
            equal(answer.status, status, answer.body[:300])
            contains(answer.json["error"], text)
            contains(answer.json, "code")
        for raw, kind, status in (("{]", "application/json", 400), ("[1]", "application/json", 400), ("7", "application/json", 400),
                                  ("", "application/json", 400), ("{}", "text/plain", 415), ('{"a":1,', "application/json", 400)):
            equal(daemon.request("PUT", NS + "/actions/bad", raw=raw, headers={"Content-Type": kind}).status, status, raw)
        body = {"exec": good}
        for name in ("%20a", "a%09b", ".a", "%C3%A4"):
            answer = daemon.request("PUT", NS + "/actions/" + name, body)
            equal((answer.status, answer.json["error"]), (400, "The name of the entity contains illegal characters."))
        contains(daemon.request("PUT", NS + "/actions/" + "a" * 257, body).json["error"], "257 > 256.")
        for query in ("limit=201", "limit=-1", "limit=x", "skip=-1", "count=maybe"):
            equal(daemon.request("GET", NS + "/actions?" + query).status, 400, query)
        equal(daemon.request("GET", NS + "/actions").json, [])


def calls_answer():
    with Daemon() as daemon:
        daemon.action("echo", "echo")
        full = daemon.invoke("echo", {"a": [1, "\u0000ü"]})
        record = full.json
        equal(full.status, 200, full.body)
        equal(record["response"], {"status": "success", "success": True, "result": {"a": [1, "\u0000ü"]}, "size": record["response"]["size"]})
        equal(full.headers["x-openwhisk-activation-id"], record["activationId"])
        equal((record["namespace"], record["name"], record["logs"]), ("guest", "echo", []))
        equal(annotation(record, "path"), "guest/echo")
        equal(isinstance(annotation(record, "initTime"), int), True)
        warm = daemon.invoke("echo", {"b": 2})
        equal(annotation(warm.json, "initTime"), None)
        equal(daemon.invoke("echo", {"c": 3}, "blocking=true&result=true").json, {"c": 3})
        started = daemon.invoke("echo", {"d": 4}, "")
        equal((started.status, list(started.json)), (202, ["activationId"]))
        kept = daemon.activation(started.json["activationId"])
        equal(kept["response"]["result"], {"d": 4})
        path = NS + "/activations/" + kept["activationId"]
        equal(daemon.request("GET", path + "/result").json, kept["response"])
        equal(daemon.request("GET", path + "/logs").json, {"logs": []})
        equal(daemon.request("POST", NS + "/actions/echo?blocking=true&result=true", raw="").json, {})


def outcomes_are_openwhisk_s():
    late = "The action exceeded its time limits of 60000 milliseconds"
    gone = "The action did not produce a valid response and exited unexpectedly."
    size = "The action produced a response that exceeded the allowed length: 2000000 > 1048576 bytes."
    cases = [
        ("error", 502, "application error", "as asked"), ("scalar", 502, "action developer error",
         "The action did not produce a valid JSON or JSON Array response: 7"), ("exited", 502, "action developer error", gone),
        ("oom", 502, "action developer error", "The action exhausted its memory and was aborted."),
        ("timeout", 502, "action developer error", late + "."), ("large", 502, "application error", size),
        ("bad-result", 502, "action developer error", "bad-result"),
        ("garbage", 502, "action developer error", gone), ("flood", 502, "action developer error", gone),
        ("init-error", 502, "action developer error", "the code does not load"),
        ("init-timeout", 502, "action developer error", late + " during initialization."),
        ("init-exited", 502, "action developer error", "The action did not initialize and exited unexpectedly."),
        ("init-oom", 502, "action developer error", "The action exhausted its memory and was aborted."),
    ]
    with Daemon() as daemon:
        for code, http, status, text in cases:
            daemon.action("f", code)
            answer = daemon.invoke("f")
            equal((answer.status, answer.json["response"]["status"]), (http, status), code)
            equal(answer.json["response"]["result"], {"error": text}, code)
            equal("code" in answer.json, False)
            equal(annotation(answer.json, "timeout"), "timeout" in code)
            equal(daemon.invoke("f", {}, "blocking=true&result=true").json, {"error": text})
        until(lambda: all(i["state"] == "idle" for i in daemon.instances()))
        daemon.action("list", "array")
        equal(daemon.invoke("list").json, [1, 2])
        equal(len(daemon.status()["vms"]), 1)
        equal(daemon.status()["vms"][0]["id"], "vm1")


def function_sees_its_surroundings():
    with Daemon("--api-host", "http://192.0.2.7:3233") as daemon:
        daemon.request("PUT", NS + "/actions/env", {"exec": {"kind": "python:3", "code": "env"}, "parameters": [
            {"key": "p", "value": 1}, {"key": "q", "value": 2}]})
        answer = daemon.invoke("env", {"q": 3}, headers={"X-Request-ID": "tid-9"})
        run, env = answer.json["response"]["result"]["run"], answer.json["response"]["result"]["env"]
        equal(run["value"], {"p": 1, "q": 3})
        equal((run["namespace"], run["action_name"], run["action_version"]), ("guest", "/guest/env", "0.0.1"))
        equal((run["activation_id"], run["transaction_id"]), (answer.json["activationId"], "tid-9"))
        equal((run["timeout_ms"], run["result_max_bytes"], run["logs_max_bytes"]), (60000, 1 << 20, 10 << 20))
        equal(abs(int(run["deadline"]) / 1000 - time.time() - 60) < 10, True)
        equal("api_key" in run, False)
        equal((env["__OW_ACTION_NAME"], env["__OW_API_HOST"], env["__OW_ALLOW_CONCURRENT"]), ("/guest/env", "http://192.0.2.7:3233", "false"))
        daemon.action("together", "env", kind="nodejs:20", concurrency=2)
        equal(daemon.invoke("together").json["response"]["result"]["env"]["__OW_ALLOW_CONCURRENT"], "true")
        daemon.request("PUT", NS + "/actions/env?overwrite=true", {"annotations": [
            {"key": "provide-api-key", "value": True}, {"key": "final", "value": True}]})
        refused = daemon.invoke("env", {"q": 3})
        equal((refused.status, "not allowed" in refused.json["error"]), (400, True))
        equal(daemon.invoke("env", {"z": 3}).json["response"]["result"]["run"]["api_key"], daemon.key)


def logs_are_kept():
    with Daemon() as daemon:
        daemon.action("log", "log")
        answer = daemon.invoke("log")
        equal(answer.json["logs"], [])
        logs = daemon.request("GET", NS + "/activations/%s/logs" % answer.json["activationId"]).json["logs"]
        equal(logs[:2], ["2023-11-14T22:13:20.123Z       stdout: hello", "2023-11-14T22:13:20.456Z       stderr: world"])
        contains(logs[2], "Logs were truncated because the total bytes size exceeds the limit of 10485760 bytes.")
        daemon.action("log", "log", logs=0)
        answer = daemon.invoke("log")
        equal(daemon.activation(answer.json["activationId"])["logs"], [])


def waiting_has_an_end():
    with Daemon() as daemon:
        daemon.action("slow", "sleep 700")
        answer = daemon.invoke("slow", {"x": 1}, "blocking=true&timeout=100")
        equal((answer.status, list(answer.json)), (202, ["activationId"]))
        equal(daemon.activation(answer.json["activationId"])["response"]["result"], {"x": 1})
        for query in ("timeout=0", "timeout=60001", "timeout=x"):
            answer = daemon.invoke("slow", {}, "blocking=true&" + query)
            equal(answer.status, 400)
            contains(answer.json["error"], "Timeout must be number of milliseconds up to 60000.")
        equal(daemon.invoke("slow", {}, "blocking=perhaps").status, 400)
        daemon.action("never", "never", timeout=100)
        began = time.monotonic()
        answer = daemon.invoke("never")
        equal(answer.status, 502)
        equal(answer.json["response"]["result"]["error"], "The action exceeded its time limits of 100 milliseconds.")
        equal(time.monotonic() - began < 15, True)


def bad_calls_are_refused():
    with Daemon() as daemon:
        daemon.action("echo", "echo")
        equal(daemon.invoke("none").status, 404)
        equal(daemon.invoke("echo", {"x": "y" * (1 << 20)}).status, 413)
        for raw in ("{]", "[]", "7", '"x"', "{\"a\":\"\xff\"}".encode("latin-1"), "[" * 100000):
            equal(daemon.request("POST", NS + "/actions/echo?blocking=true", raw=raw).status, 400)
        equal(daemon.request("POST", NS + "/actions/echo", raw="a=1", headers={"Content-Type": "application/x-www-form-urlencoded"}).status, 415)
        equal(daemon.request("GET", NS + "/activations/xyz").json["error"], "Activation id length is 3 but must be 32.")
        equal(daemon.request("GET", NS + "/activations/" + "G" * 32).json["error"], "The activation id is not valid.")
        equal(daemon.request("GET", NS + "/activations/" + "0" * 32).status, 404)
        equal(daemon.status()["vms"], [])


def activations_are_listed():
    with Daemon() as daemon:
        for name in ("a", "b"):
            daemon.action(name, "echo")
        for name in "abaab":
            daemon.invoke(name)
        listed = daemon.request("GET", NS + "/activations").json
        equal([record["name"] for record in listed], list("baaba"))
        equal((listed[0]["statusCode"], "response" in listed[0], "logs" in listed[0]), (0, False, False))
        equal(len(daemon.request("GET", NS + "/activations?name=a").json), 3)
        equal(len(daemon.request("GET", NS + "/activations?limit=2&skip=4").json), 1)
        equal(daemon.request("GET", NS + "/activations?count=true&name=b").json, {"activations": 2})
        equal("response" in daemon.request("GET", NS + "/activations?docs=true").json[0], True)
        since = listed[2]["start"]
        equal(len(daemon.request("GET", NS + "/activations?since=%d" % since).json) >= 3, True)
        equal(daemon.request("GET", NS + "/activations?count=true&docs=true").status, 400)


def clients_that_go_away():
    with Daemon() as daemon:
        daemon.action("slow", "sleep 300")
        body = b"{}"
        head = ("POST %s/actions/slow?blocking=true HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\n"
                "Content-Length: 2\r\n\r\n" % (NS, base64.b64encode(daemon.key.encode()).decode())).encode()
        for _ in range(3):
            connection = socket.create_connection(("127.0.0.1", daemon.port))
            connection.sendall(head + body)
            connection.close()
        until(lambda: daemon.request("GET", NS + "/activations?count=true").json["activations"] == 3)
        # Half a request, garbage, and silence hold nobody up.
        idle = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(50)]
        for number, connection in enumerate(idle):
            connection.sendall([b"", b"GET /pi", head, b"\x00\xff\x16\x03garbage\r\n\r\n"][number % 4])
        equal(daemon.request("GET", "/ping").body, "pong")
        for connection in idle:
            connection.close()
        huge = socket.create_connection(("127.0.0.1", daemon.port))
        try:
            huge.sendall(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000)
        except OSError:
            pass
        huge.close()
        equal(daemon.invoke("slow").status, 200)


def read_answers(connection, count):
    """Status and body of the next answers on a connection that is kept open."""
    answers, data = [], b""
    while len(answers) < count:
        head, found, rest = data.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head.lower()).group(1)) if found else 0
        if not found or len(rest) < length:
            piece = connection.recv(65536)
            equal(piece != b"", True, answers)
            data += piece
            continue
        answers.append((int(head.split()[1]), rest[:length].decode()))
        data = rest[length:]
    return answers


def slow_and_pipelined_clients():
    with Daemon() as daemon:
        daemon.action("later", "sleep 200")
        auth = "Authorization: Basic %s\r\n" % base64.b64encode(daemon.key.encode()).decode()

        def text(n):
            body = json.dumps({"n": n})
            return ("POST %s/actions/later?blocking=true&result=true HTTP/1.1\r\nHost: x\r\n%sContent-Type: application/json\r\n"
                    "Content-Length: %d\r\n\r\n%s" % (NS, auth, len(body), body)).encode()

        # A byte at a time, of two connections in turn: others are served meanwhile, and both are when they are through.
        slow = [socket.create_connection(("127.0.0.1", daemon.port), 30) for _ in range(2)]
        for at in range(len(text(0))):
            for n, connection in enumerate(slow):
                connection.sendall(text(n)[at:at + 1])
            if at % 64 == 0:
                equal(daemon.request("GET", "/ping", auth=False).body, "pong")
        for n, connection in enumerate(slow):
            equal([(status, json.loads(body)) for status, body in read_answers(connection, 1)], [(200, {"n": n})])
        # Several requests in one piece: answered in their order, the cheap one not before the dear one.
        ping = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
        slow[0].sendall(text(1) + ping + text(2) + ping)
        answers = read_answers(slow[0], 4)
        equal([(status, body.replace(" ", "")) for status, body in answers], [(200, '{"n":1}'), (200, "pong"), (200, '{"n":2}'), (200, "pong")])
        # A client that does not read its answers: its own affair.
        daemon.action("large", 'result {"x": "%s"}' % ("y" * 3000))
        for _ in range(200):
            slow[1].sendall(text(3).replace(b"later", b"large"))
        equal(daemon.request("GET", "/ping", auth=False).body, "pong")
        for connection in slow:
            connection.close()


def more_clients_than_descriptors():
    with Daemon() as daemon:
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (40, 40))
        crowd = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(100)]
        time.sleep(0.5)
        for connection in crowd:
            connection.close()
        equal(daemon.request("GET", "/ping").body, "pong")
        equal(daemon.log().count("cannot take more clients"), 1)
        equal(len(daemon.log().splitlines()) < 10, True)


def many_calls_at_once():
    with Daemon() as daemon:
        daemon.action("sleepy", "sleep 20")
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(lambda n: daemon.invoke("sleepy", {"n": n}, "blocking=true&result=true"), range(200)))
        equal([answer.json for answer in answers], [{"n": n} for n in range(200)])
        equal(daemon.request("GET", NS + "/activations?count=true").json, {"activations": 200})
        equal(len(daemon.instances()) <= 4, True)


def too_many_calls_are_refused():
    with Daemon() as daemon:
        daemon.action("slow", "sleep 60000")
        for _ in range(1024):
            equal(daemon.invoke("slow", {}, "").status, 202)
        answer = daemon.invoke("slow", {}, "")
        equal(answer.status, 429)
        equal(answer.json["error"], "Too many concurrent requests in flight (count: 1024, allowed: 1024).")


if __name__ == "__main__":
    sys.exit(main([info_needs_no_key, routes_are_documented, key_is_asked_for, transaction_id_comes_back, wrong_paths_and_verbs, actions_are_kept,
                   bad_actions_are_refused, calls_answer, outcomes_are_openwhisk_s, function_sees_its_surroundings, logs_are_kept,
                   waiting_has_an_end, bad_calls_are_refused, inspect_asks_the_agent, activations_are_listed, clients_that_go_away, slow_and_pipelined_clients, more_clients_than_descriptors, many_calls_at_once,
                   too_many_calls_are_refused]))
