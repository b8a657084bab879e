#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Packages, bindings, triggers, rules, sequences, web actions, namespaces, throttles: OpenWhisk's API without a VM (fake-qemu)."""
import base64
import json
import os
import socket
import sqlite3
import sys
import tempfile

from harness import Daemon, annotation, contains, equal, main, until

NS = "/api/v1/namespaces/_"
WEB = "/api/v1/web/guest/default/"
MISSING = "The requested resource does not exist."


def key_for(daemon, namespace, **more):
    """"uuid:secret" of a new key."""
    answer = daemon.request("POST", "/squeezy/v1/keys", {"namespace": namespace, **more})
    equal(answer.status, 201, answer.body)
    return answer.json["key"]


def put(daemon, path, body, status=200, **more):
    answer = daemon.request("PUT", NS + path, body, **more)
    equal(answer.status, status, answer.body)
    return answer.json


def code(text, **more):
    return {"exec": {"kind": "python:3", "code": text}, **more}


def pairs(**values):
    return [{"key": key, "value": value} for key, value in values.items()]


def packages_hold_actions():
    with Daemon() as daemon:
        made = put(daemon, "/packages/p", {"parameters": pairs(a=1, b=1, c=1), "annotations": pairs(x="y"), "publish": True})
        equal((made["namespace"], made["name"], made["binding"], made["version"], made["publish"]), ("guest", "p", {}, "0.0.1", True))
        put(daemon, "/packages/p", {}, 409)
        equal(put(daemon, "/packages/p?overwrite=true", {"publish": False})["version"], "0.0.2")
        equal(put(daemon, "/packages/default", {}, 400)["error"], "Package 'default' is reserved.")
        action = put(daemon, "/actions/p/f", code("echo", parameters=pairs(b=2, c=2)))
        equal((action["namespace"], action["name"]), ("guest/p", "f"))
        equal(put(daemon, "/actions/q/f", code("echo"), 404)["error"], "The requested resource 'guest/q' does not exist.")
        got = daemon.request("GET", NS + "/actions/p/f").json
        equal({p["key"]: p["value"] for p in got["parameters"]}, {"a": 1, "b": 2, "c": 2})
        answer = daemon.invoke("p/f", {"c": 3})
        equal(answer.json["response"]["result"], {"a": 1, "b": 2, "c": 3})
        equal((answer.json["name"], annotation(answer.json, "path")), ("f", "guest/p/f"))
        shown = daemon.request("GET", NS + "/packages/p").json
        equal([a["name"] for a in shown["actions"]], ["f"])
        equal(shown["feeds"], [])
        put(daemon, "/actions/p/feeder", code("echo", annotations=pairs(feed=True)))
        equal([a["name"] for a in daemon.request("GET", NS + "/packages/p").json["feeds"]], ["feeder"])
        put(daemon, "/actions/alone", code("echo"))
        equal(sorted(a["name"] for a in daemon.request("GET", NS + "/actions/p/").json), ["f", "feeder"])
        equal(len(daemon.request("GET", NS + "/actions").json), 3)
        equal(daemon.request("GET", NS + "/actions/p/?count=true").json, {"actions": 2})
        listed = daemon.request("GET", NS + "/packages").json
        equal([(p["name"], p["binding"]) for p in listed], [("p", False)])
        answer = daemon.request("DELETE", NS + "/packages/p")
        equal(answer.status, 409)
        equal(answer.json["error"], "Package not empty (contains 2 entities). Set force param or delete package contents.")
        equal(daemon.request("DELETE", NS + "/packages/p?force=true").status, 200)
        equal([a["name"] for a in daemon.request("GET", NS + "/actions").json], ["alone"])
        equal(daemon.request("GET", NS + "/packages/p").json["error"], MISSING)


def bindings_add_parameters():
    with Daemon() as daemon:
        other = key_for(daemon, "other")
        put(daemon, "/packages/p", {"parameters": pairs(a=1, b=1)}, auth=other)
        put(daemon, "/actions/p/f", code("echo"), auth=other)
        binding = {"binding": {"namespace": "other", "name": "p"}, "parameters": pairs(b=2)}
        contains(put(daemon, "/packages/b", binding, 403)["error"], "not authorized")
        put(daemon, "/packages/p?overwrite=true", {"publish": True}, auth=other)
        made = put(daemon, "/packages/b", binding)
        equal(made["binding"], {"namespace": "other", "name": "p"})
        equal(annotation(made, "binding"), {"namespace": "other", "name": "p"})
        shown = daemon.request("GET", NS + "/packages/b").json
        equal({p["key"]: p["value"] for p in shown["parameters"]}, {"a": 1, "b": 2})
        equal([a["name"] for a in shown["actions"]], ["f"])
        equal([a["name"] for a in daemon.request("GET", NS + "/actions/b/").json], ["f"])
        record = daemon.invoke("b/f", {"c": 3}).json
        equal(record["response"]["result"], {"a": 1, "b": 2, "c": 3})
        equal((record["namespace"], annotation(record, "path"), annotation(record, "binding")), ("guest", "other/p/f", "guest/b"))
        equal(len(daemon.request("GET", NS + "/activations?name=b/f").json), 1)
        equal(daemon.request("GET", NS + "/activations", auth=other).json, [])
        contains(put(daemon, "/actions/b/g", code("echo"), 400)["error"], "Operation not permitted on package binding.")
        contains(daemon.request("DELETE", NS + "/actions/b/f").json["error"], "Operation not permitted on package binding.")
        contains(put(daemon, "/packages/c", {"binding": {"namespace": "_", "name": "b"}}, 400)["error"],
                 "Cannot bind to another package binding.")
        contains(put(daemon, "/packages/c", {"binding": {"namespace": "_", "name": "none"}}, 400)["error"],
                 "Binding references a package that does not exist.")
        put(daemon, "/packages/d", {})
        put(daemon, "/packages/d?overwrite=true", binding, 409)
        # Public: readable and callable where it is; nothing else is.
        equal(daemon.request("POST", "/api/v1/namespaces/other/actions/p/f?blocking=true", {}).status, 200)
        equal([p["name"] for p in daemon.request("GET", "/api/v1/namespaces/other/packages").json], ["p"])
        equal(daemon.request("PUT", "/api/v1/namespaces/other/actions/p/g", code("echo")).status, 403)
        equal(daemon.request("GET", "/api/v1/namespaces/other/actions").status, 403)
        equal(daemon.request("GET", "/api/v1/namespaces/other/triggers").status, 403)


def namespaces_and_rights():
    with Daemon() as daemon:
        reader = key_for(daemon, "shop", rights=["READ"])
        owner = key_for(daemon, "shop")
        equal(daemon.request("GET", "/api/v1/namespaces", auth=reader).json, ["shop"])
        put(daemon, "/actions/f", code("echo"), auth=owner)
        equal(daemon.request("GET", NS + "/actions/f", auth=reader).status, 200)
        for method, path in (("PUT", "/actions/f"), ("DELETE", "/actions/f"), ("POST", "/actions/f")):
            answer = daemon.request(method, NS + path, {}, auth=reader)
            equal((answer.status, "not authorized to access" in answer.json["error"]), (403, True))
        equal(daemon.request("GET", NS + "/actions/f").status, 404)
        equal(daemon.request("GET", "/squeezy/v1/status", auth=owner).status, 403)
        equal(daemon.request("POST", "/squeezy/v1/keys", {"namespace": "x"}, auth=owner).status, 403)
        for bad in ({}, {"namespace": "_"}, {"namespace": "whisk.system"}, {"namespace": "a/b"}, {"namespace": "a", "rights": ["ADMIN"]},
                    {"namespace": "a", "rights": "READ"}, {"namespace": "a", "limits": {"invocationsPerMinute": -1}}):
            equal(daemon.request("POST", "/squeezy/v1/keys", bad).status, 400, bad)
        listed = daemon.request("GET", "/squeezy/v1/keys").json
        equal(sorted(k["namespace"] for k in listed), ["guest", "shop", "shop"])
        equal("key" in listed[0] or "sealed" in listed[0], False)
        equal(daemon.request("DELETE", "/squeezy/v1/keys/" + reader.split(":")[0]).status, 204)
        equal(daemon.request("GET", NS + "/actions/f", auth=reader).status, 401)
        equal(daemon.request("DELETE", "/squeezy/v1/keys/" + reader.split(":")[0]).status, 404)
        equal(daemon.request("DELETE", "/squeezy/v1/keys/" + daemon.key.split(":")[0]).status, 403)
        # The function gets the caller's key when it asks for one.
        put(daemon, "/actions/env", code("env", annotations=pairs(**{"provide-api-key": True})), auth=owner)
        run = daemon.invoke("env", auth=owner).json["response"]["result"]["run"]
        equal((run["api_key"], run["namespace"]), (owner, "shop"))
        limits = daemon.request("GET", "/api/v1/namespaces/shop/limits", auth=owner).json
        equal((limits["maxActionMemory"], limits["maxParameterSize"]), (512, "1048576 B"))
        # Restart: keys are still good, and nowhere in the clear but in api.key. (The owner's was the result of a call.)
        vault = key_for(daemon, "vault")
        state = daemon.state
        daemon.stop()
        for name in os.listdir(state):
            path = os.path.join(state, name)
            if os.path.isfile(path) and name != "api.key":
                with open(path, "rb") as file:
                    equal(vault.split(":")[1].encode() in file.read(), False, name)
        equal(os.stat(os.path.join(state, "seal.key")).st_mode & 0o777, 0o600)
        with Daemon(state=state) as again:
            equal(again.request("GET", NS + "/actions/f", auth=owner).status, 200)
            equal(again.request("GET", "/api/v1/namespaces", auth=vault).json, ["vault"])


def throttles_refuse():
    with Daemon() as daemon:
        few = key_for(daemon, "few", limits={"invocationsPerMinute": 2, "firesPerMinute": 1})
        put(daemon, "/actions/f", code("echo"), auth=few)
        statuses = [daemon.invoke("f", auth=few).status for _ in range(6)]
        # The minute may change once in between.
        equal(statuses[:2], [200, 200])
        equal(429 in statuses, True)
        answer = until(lambda: (lambda a: a if a.status == 429 else None)(daemon.invoke("f", auth=few)))
        contains(answer.json["error"], "Too many requests in the last minute (count: ")
        contains(answer.json["error"], ", allowed: 2).")
        equal(daemon.invoke("f").status, 404)
        put(daemon, "/triggers/t", {}, auth=few)
        fires = [daemon.request("POST", NS + "/triggers/t", {}, auth=few).status for _ in range(4)]
        equal(429 in fires, True)
        one = key_for(daemon, "one", limits={"concurrentInvocations": 1})
        put(daemon, "/actions/slow", code("sleep 30000"), auth=one)
        equal(daemon.invoke("slow", query="", auth=one).status, 202)
        answer = daemon.invoke("slow", query="", auth=one)
        equal((answer.status, answer.json["error"]), (429, "Too many concurrent requests in flight (count: 1, allowed: 1)."))


def triggers_fire_rules():
    with Daemon() as daemon:
        made = put(daemon, "/triggers/t", {"parameters": pairs(a=1, b=1)})
        equal((made["limits"], made["version"], "rules" in made), ({}, "0.0.1", False))
        put(daemon, "/triggers/t", {}, 409)
        equal(daemon.request("POST", NS + "/triggers/t", {}).status, 204)
        put(daemon, "/packages/p", {})
        put(daemon, "/actions/p/f", code("echo", parameters=pairs(c=1)))
        put(daemon, "/actions/g", code("echo"))
        rule = put(daemon, "/rules/r", {"trigger": "/guest/t", "action": "/_/p/f"})
        equal((rule["status"], rule["trigger"], rule["action"]),
              ("active", {"path": "guest", "name": "t"}, {"path": "guest/p", "name": "f"}))
        put(daemon, "/rules/s", {"trigger": {"path": "guest", "name": "t"}, "action": "/_/g"})
        for bad, status in (({"trigger": "t", "action": "/_/g"}, 400), ({"trigger": "/_/t"}, 400), ({"trigger": "/_/none", "action": "/_/g"}, 404),
                            ({"trigger": "/_/t", "action": "/_/none"}, 404), ({}, 400)):
            put(daemon, "/rules/x", bad, status)
        equal(daemon.request("POST", NS + "/rules/s", {"status": "inactive"}).status, 200)
        equal(daemon.request("POST", NS + "/rules/s", {"status": "inactive"}).status, 200)
        equal(daemon.request("POST", NS + "/rules/s", {"status": "gone"}).status, 400)
        equal(daemon.request("GET", NS + "/rules/s").json["status"], "inactive")
        equal(daemon.request("GET", NS + "/triggers/t").json["rules"]["guest/r"],
              {"action": {"path": "guest/p", "name": "f"}, "status": "active"})
        fired = daemon.request("POST", NS + "/triggers/t", {"b": 2}, headers={"X-Mine": "yes"})
        equal((fired.status, fired.headers["x-openwhisk-activation-id"]), (202, fired.json["activationId"]))
        record = daemon.activation(fired.json["activationId"])
        equal((record["response"]["result"], record["response"]["success"], "end" in record), ({"b": 2}, True, False))
        told = {line["rule"]: line for line in map(json.loads, record["logs"])}
        equal((told["guest/r"]["success"], told["guest/r"]["action"]), (True, "guest/p/f"))
        equal(told["guest/s"]["error"], "Rule 'guest/s' is inactive, action 'guest/g' was not activated.")
        result = daemon.activation(told["guest/r"]["activationId"])["response"]["result"]
        equal({k: result[k] for k in "abc"}, {"a": 1, "b": 2, "c": 1})
        equal((result["__ow_headers"]["x-mine"], "authorization" in result["__ow_headers"]), ("yes", False))
        equal(sorted(r["name"] for r in daemon.request("GET", NS + "/rules").json), ["r", "s"])
        equal(daemon.request("DELETE", NS + "/rules/r").json["status"], "inactive")
        equal(list(daemon.request("GET", NS + "/triggers/t").json["rules"]), ["guest/s"])
        equal(daemon.request("POST", NS + "/triggers/t", {}).status, 204)
        # A rule follows its new trigger, and keeps its state.
        put(daemon, "/triggers/u", {})
        equal(put(daemon, "/rules/s?overwrite=true", {"trigger": "/_/u"})["status"], "inactive")
        equal("rules" in daemon.request("GET", NS + "/triggers/t").json, False)
        equal(daemon.request("DELETE", NS + "/triggers/u").status, 200)
        equal(daemon.request("POST", NS + "/rules/s", {"status": "active"}).status, 404)
        # Nobody enters rules into another's trigger.
        other = key_for(daemon, "other")
        put(daemon, "/actions/f", code("echo"), auth=other)
        put(daemon, "/rules/r", {"trigger": "/guest/t", "action": "/_/f"}, 403, auth=other)
        put(daemon, "/triggers/g", {}, 409)
        equal(put(daemon, "/actions/t", code("echo"), 409)["error"], "Resource by this name exists but is not in this collection.")


def sequences_run_in_order():
    with Daemon() as daemon:
        def sequence(name, *components, status=200):
            return put(daemon, "/actions/%s?overwrite=true" % name, {"exec": {"kind": "sequence", "components": list(components)}}, status)

        put(daemon, "/actions/add", code("add"))
        put(daemon, "/actions/error", code("error"))
        put(daemon, "/actions/array", code("array"))
        made = sequence("s", "/_/add", "/guest/add", "add")
        equal(made["exec"], {"kind": "sequence", "components": ["/guest/add"] * 3})
        record = daemon.invoke("s", {"n": 4}).json
        equal((record["response"]["result"], record["response"]["status"], len(record["logs"])), ({"n": 7}, "success", 0))
        record = daemon.activation(record["activationId"])
        equal((len(record["logs"]), annotation(record, "topmost"), annotation(record, "kind")), (3, True, "sequence"))
        part = daemon.activation(record["logs"][1])
        equal((part["cause"], annotation(part, "causedBy"), part["response"]["result"]), (record["activationId"], "sequence", {"n": 6}))
        equal(daemon.invoke("s", {"n": 1}, "blocking=true&result=true").json, {"n": 4})
        sequence("failing", "add", "error", "add")
        answer = daemon.invoke("failing", {"n": 1})
        equal((answer.status, answer.json["response"]), (502, {"status": "application error", "success": False, "result": {"error": "as asked"}}))
        equal(len(daemon.activation(answer.json["activationId"])["logs"]), 2)
        sequence("nested", "s", "add")
        equal(daemon.invoke("nested", {"n": 0}).json["response"]["result"], {"n": 4})
        sequence("arrays", "array", "echo", status=400)
        put(daemon, "/actions/echo", code("echo"))
        sequence("arrays", "array", "echo")
        equal(daemon.invoke("arrays").json, [1, 2])
        for components, said in (([], "No component"), (["none"], "Sequence component does not exist."), (["add"] * 51, "Too many actions in the sequence."),
                                 (["self"], "Sequence may not refer to itself"), (["s"] * 17, "Too many actions in the sequence."), ([7], "component"),
                                 (["/a/b/c/d"], "illegal")):
            contains(sequence("self", *components, status=400)["error"], said)
        sequence("s", "nested", status=400)
        contains(put(daemon, "/actions/x", {"exec": {"kind": "sequence"}}, 400)["error"], "'components' must be defined")
        equal(daemon.request("DELETE", NS + "/actions/add").status, 200)
        equal(daemon.invoke("s", {"n": 1}).json["response"]["result"], {"error": "Sequence component does not exist."})
        equal(daemon.invoke("s", {}, "").status, 202)


def web(daemon, name, result, **annotations):
    text = result if isinstance(result, str) else "result " + json.dumps(result)
    put(daemon, "/actions/%s?overwrite=true" % name, code(text, annotations=pairs(**{"web-export": True, **annotations})))


def web_actions_render():
    with Daemon() as daemon:
        def get(path, method="GET", **more):
            return daemon.request(method, WEB + path, auth=False, **more)

        web(daemon, "w", {"statusCode": 201, "headers": {"X-A": "b", "Set-Cookie": ["c=1", "d=2"], "Content-Length": 5}, "body": {"x": 1}})
        answer = get("w")
        equal((answer.status, answer.headers["X-A"], answer.headers.get_all("Set-Cookie"), answer.json), (201, "b", ["c=1", "d=2"], {"x": 1}))
        equal((answer.headers["Content-Type"], answer.headers["Access-Control-Allow-Origin"]), ("application/json", "*"))
        equal(len(answer.headers["x-openwhisk-activation-id"]), 32)
        for result, ext, status, kind, body in (
                ({"body": "<b>"}, "", 200, "text/html; charset=UTF-8", "<b>"), ({"body": ""}, "", 204, None, ""), ({}, ".http", 204, None, ""),
                ({"statusCode": "404"}, "", 404, None, ""), ({"body": [1]}, "", 200, "application/json", "[1]"),
                ({"a": 1}, ".json", 200, "application/json", '{"a":1}'), ({"html": "<p>"}, ".html", 200, "text/html; charset=UTF-8", "<p>"),
                ({"svg": "<s/>"}, ".svg", 200, "image/svg+xml", "<s/>"), ({"text": "t"}, ".text", 200, "text/plain; charset=UTF-8", "t"),
                ({"body": 7}, ".text", 200, "text/plain; charset=UTF-8", "7"),
                ({"headers": {"content-type": "text/css"}, "body": "a{}"}, "", 200, "text/css", "a{}"),
                ({"headers": {"content-type": "image/png"}, "body": base64.b64encode(b"png!").decode()}, "", 200, "image/png", "png!")):
            web(daemon, "w", result)
            answer = get("w" + ext)
            equal((answer.status, answer.headers["Content-Type"], answer.body), (status, kind, body), result)
        for result, ext, status in (({"statusCode": "x"}, "", 400), ({"statusCode": 7}, "", 400), ({"headers": 1}, "", 400),
                                    ({"headers": {"a": {}}}, "", 400), ({"headers": {"a": "b\r\nc: d"}}, "", 400), ({"a": 1}, ".html", 400),
                                    ({"a": 1}, ".text", 404), ({"headers": {"content-type": "image/png"}, "body": "no!"}, "", 400),
                                    ({"headers": {"content-type": "text/html"}, "body": {}}, "", 400), ([1], "", 500),
                                    ({"error": {"statusCode": 418, "body": "tea"}}, "", 418), ({"error": "text"}, "", 400)):
            web(daemon, "w", result)
            equal(get("w" + ext).status, status, result)
        for bad in ("exited", "scalar"):
            web(daemon, "w", bad)
            answer = get("w")
            equal((answer.status, answer.json["error"]), (400, "There was an error processing your request."))
        put(daemon, "/actions/hidden", code("echo"))
        equal((get("hidden").status, get("none").status, daemon.request("GET", "/api/v1/web/none/default/w", auth=False).status), (404, 404, 404))
        web(daemon, "w", {"body": "x"})
        head = get("w", "HEAD")
        equal((head.status, head.body), (200, ""))


def web_actions_get_requests():
    with Daemon() as daemon:
        def get(path, method="GET", **more):
            return daemon.request(method, WEB + path, auth=more.pop("auth", False), **more)

        web(daemon, "e", "echo", **{"x": 1})
        put(daemon, "/actions/e?overwrite=true", {"parameters": pairs(a="set")})
        seen = get("e.json/more/path?a=q&b=r%20s", headers={"X-Upper": "V"}).json
        equal((seen["a"], seen["b"], seen["__ow_method"], seen["__ow_path"], seen["__ow_headers"]["x-upper"]), ("q", "r s", "get", "/more/path", "V"))
        equal(("__ow_user" in seen, "__ow_query" in seen, get("e.json").json["__ow_path"]), (False, False, ""))
        equal(get("e.json", auth=True).json["__ow_user"], "guest")
        equal(get("e.json", auth="wrong:key").json.get("__ow_user"), None)
        seen = get("e.json?a=q", "POST", body={"a": "body", "c": [1]}).json
        equal((seen["a"], seen["c"], seen["__ow_method"]), ("body", [1], "post"))
        seen = get("e.json", "PATCH", raw="a=form&d=1%2B1", headers={"Content-Type": "application/x-www-form-urlencoded"}).json
        equal((seen["a"], seen["d"], seen["__ow_method"]), ("form", "1+1", "patch"))
        equal(get("e.json", "PUT", raw="text", headers={"Content-Type": "text/plain"}).json["__ow_body"], "text")
        equal(get("e.json", "PUT", raw=b"\x00\xff", headers={"Content-Type": "image/png"}).json["__ow_body"], base64.b64encode(b"\0\xff").decode())
        equal(get("e.json", "POST", raw="{", headers={"Content-Type": "application/json"}).status, 400)
        equal(get("e.json?__ow_method=x").status, 400)
        equal(get("e.json", "POST", body={"__ow_user": "x"}).status, 400)
        equal(get("e.json", "POST", raw="x" * (1 << 20) + "y", headers={"Content-Type": "text/plain"}).status, 413)
        web(daemon, "e", "echo", final=True)
        put(daemon, "/actions/e?overwrite=true", {"parameters": pairs(a="set")})
        equal((get("e.json?a=1").status, get("e.json?b=1").json["b"]), (400, "1"))
        web(daemon, "raw", "echo", **{"raw-http": True})
        seen = get("raw.json?a=1&__ow_method=x", "POST", body={"b": 2}).json
        equal((seen["__ow_query"], base64.b64decode(seen["__ow_body"]), "a" in seen), ("a=1&__ow_method=x", b'{"b": 2}', False))
        equal(get("raw.json").json["__ow_body"], "")
        web(daemon, "auth", "echo", **{"require-whisk-auth": True})
        equal((get("auth.json").status, get("auth.json", auth=True).status), (401, 200))
        web(daemon, "auth", "echo", **{"require-whisk-auth": "secret"})
        equal([get("auth.json", headers={"X-Require-Whisk-Auth": word}).status for word in ("secret", "secre", "secrets", "")], [200, 401, 401, 401])
        web(daemon, "auth", "echo", **{"require-whisk-auth": 42})
        equal([get("auth.json", headers={"X-Require-Whisk-Auth": word}).status for word in ("42", "4")], [200, 401])
        answer = get("e", "OPTIONS", headers={"Access-Control-Request-Headers": "x-one"})
        equal((answer.status, answer.body, answer.headers["Access-Control-Allow-Headers"]), (200, "", "x-one"))
        contains(answer.headers["Access-Control-Allow-Methods"], "PATCH")
        web(daemon, "own", {"headers": {"Access-Control-Allow-Methods": "GET"}}, **{"web-custom-options": True})
        answer = get("own", "OPTIONS")
        equal((answer.headers.get_all("Access-Control-Allow-Methods"), answer.headers["Access-Control-Allow-Origin"]), (["GET"], None))
        equal(daemon.request("GET", "/api/v1/web/whisk.system/apimgmt/getApi", auth=False).json, {"apis": []})


def system_package_is_public():
    with Daemon() as daemon:
        listed = daemon.request("GET", "/api/v1/namespaces/whisk.system/packages").json
        equal([p["name"] for p in listed], ["utils"])
        shown = daemon.request("GET", "/api/v1/namespaces/whisk.system/packages/utils").json
        equal(sorted(a["name"] for a in shown["actions"]), ["date", "echo", "sort", "split"])
        equal(daemon.request("PUT", "/api/v1/namespaces/whisk.system/actions/utils/echo?overwrite=true", code("x")).status, 403)
        put(daemon, "/packages/mine", {"binding": {"namespace": "whisk.system", "name": "utils"}})
        equal(daemon.request("GET", NS + "/actions/mine/sort").json["binding"], "guest/mine")
        updated = {a["name"]: a["version"] for a in shown["actions"]}
        state = daemon.state
        daemon.stop()
        with Daemon(state=state) as again:
            shown = again.request("GET", "/api/v1/namespaces/whisk.system/packages/utils").json
            equal({a["name"]: a["version"] for a in shown["actions"]}, updated)


def old_stores_are_taken_over():
    state = tempfile.mkdtemp(prefix="squeezy-api-")
    path = os.path.join(state, "squeezy.db")
    document = {"namespace": "guest", "name": "old", "exec": {"kind": "python:3", "code": "echo", "binary": False}, "parameters": [],
                "annotations": [], "limits": {"timeout": 60000, "memory": 256, "logs": 10, "concurrency": 1}, "version": "0.0.7",
                "publish": False, "updated": 1700000000000}
    with sqlite3.connect(path) as db:
        db.executescript(
            "CREATE TABLE action (ns TEXT NOT NULL, name TEXT NOT NULL, updated INTEGER NOT NULL, document TEXT NOT NULL,"
            " PRIMARY KEY (ns, name)) WITHOUT ROWID; CREATE INDEX action_updated ON action (ns, updated DESC);"
            "CREATE TABLE activation (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, ns TEXT NOT NULL, name TEXT NOT NULL,"
            " start INTEGER NOT NULL, document TEXT NOT NULL); CREATE INDEX activation_start ON activation (ns, start DESC);"
            "PRAGMA user_version = 1;")
        db.execute("INSERT INTO action VALUES (?, ?, ?, ?)", ("guest", "old", 1700000000000, json.dumps(document)))
    db.close()
    with Daemon(state=state) as daemon:
        equal(daemon.request("GET", NS + "/actions/old").json, document)
        equal(daemon.invoke("old", {"a": 1}).json["response"]["result"], {"a": 1})


def refusal(path):
    """What a daemon says that cannot have its socket there, and ends."""
    with tempfile.TemporaryDirectory(prefix="squeezy-front-") as state:
        daemon = Daemon("--socket", path, state=state, wait=False)
        try:
            equal(daemon.process.wait(timeout=20) != 0, True)
        finally:
            daemon.stop()
        return daemon.log()


def unix_socket_serves():
    path = "/tmp/squeezy-front-%d.sock" % os.getpid()
    with Daemon("--socket", path) as daemon:
        equal(os.stat(path).st_mode & 0o777, 0o600)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(path)
            client.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            said = b""
            while chunk := client.recv(4096):
                said += chunk
        contains(said.decode(), "pong")
        equal(daemon.request("GET", "/ping", auth=False).status, 200)
        contains(refusal(path), "another program listens there")
    equal(os.path.exists(path), False)
    with open(path, "w") as file:
        file.write("not ours")
    contains(refusal(path), "what is there is no socket")
    with open(path) as file:
        equal(file.read(), "not ours")
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with Daemon("--socket", path) as daemon:
        equal(daemon.request("GET", "/ping", auth=False).status, 200)


if __name__ == "__main__":
    sys.exit(main([packages_hold_actions, bindings_add_parameters, namespaces_and_rights, throttles_refuse, triggers_fire_rules,
                   sequences_run_in_order, web_actions_render, web_actions_get_requests, system_package_is_public, old_stores_are_taken_over,
                   unix_socket_serves]))
