"""What programs do with the official Python client, each as a test of its own.

Run by python.test.ts with a kubeconfig in $KUBECONFIG; prints what passed.
"""

import sys
import time

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.dynamic.exceptions import ConflictError, ResourceNotFoundError, UnprocessibleEntityError
from kubernetes.stream import portforward, stream

NAMESPACE = "python"
WAIT_SECONDS = 30


def eventually(attempt):
    """Repeats until no exception comes, for a bounded time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return attempt()
        except (ApiException, AssertionError, ResourceNotFoundError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_watch(core):
    body = client.V1Pod(
        metadata=client.V1ObjectMeta(name="app", labels={"app": "app"}),
        spec=client.V1PodSpec(containers=[client.V1Container(name="tool", image="meshctl/tool")]),
    )
    eventually(lambda: core.create_namespaced_pod(NAMESPACE, body))
    phases = []
    watcher = watch.Watch()
    for event in watcher.stream(core.list_namespaced_pod, NAMESPACE, timeout_seconds=WAIT_SECONDS):
        phases.append(event["object"].status.phase)
        if any(c.type == "Ready" and c.status == "True" for c in event["object"].status.conditions or []):
            watcher.stop()
    assert phases[0] == "Pending" and phases[-1] == "Running", phases


def test_exec(core):
    command = ["sh", "-c", "echo out; echo err >&2"]
    both = stream(core.connect_get_namespaced_pod_exec, "app", NAMESPACE, command=command, stdout=True, stderr=True)
    assert sorted(both.split()) == ["err", "out"], both


def test_exec_interactive(core):
    session = stream(
        core.connect_get_namespaced_pod_exec,
        "app",
        NAMESPACE,
        command=["sh", "-c", "read line; echo got $line; exit 3"],
        stdin=True,
        stdout=True,
        stderr=True,
        _preload_content=False,
    )
    session.write_stdin("word\n")
    session.run_forever(timeout=WAIT_SECONDS)
    assert session.read_stdout() == "got word\n"
    assert session.returncode == 3, session.returncode


def test_port_forward(core):
    forward = portforward(core.connect_get_namespaced_pod_portforward, "app", NAMESPACE, ports="8080")
    socket = forward.socket(8080)
    socket.settimeout(WAIT_SECONDS)
    socket.sendall(b"GET /forwarded HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = b""
    while chunk := socket.recv(4096):
        answer += chunk
    assert answer.startswith(b"HTTP/1.1 200 OK") and b"/forwarded" in answer, answer
    assert forward.error(8080) is None


def test_logs(core):
    lines = core.read_namespaced_pod_log("app", NAMESPACE, tail_lines=1)
    assert "/forwarded" in lines, lines
    follower = watch.Watch()
    for line in follower.stream(core.read_namespaced_pod_log, "app", NAMESPACE, tail_lines=1):
        assert "/forwarded" in line, line
        follower.stop()


def test_dynamic_client(core):
    api = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="v1", kind="ConfigMap")
    base = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dynamic"}}
    api.create(body={**base, "data": {"a": "1"}}, namespace=NAMESPACE)
    change = {"body": {**base, "data": {"a": "2"}}, "namespace": NAMESPACE, "field_manager": "py"}
    try:
        api.server_side_apply(**change)
        raise AssertionError("a conflict was not reported")
    except ConflictError as conflict:
        assert "Apply failed with 1 conflict" in conflict.summary(), conflict.summary()
    assert api.server_side_apply(**change, force_conflicts=True).data.a == "2"
    seen = [e["object"].metadata.name for e in api.watch(namespace=NAMESPACE, timeout=1)]
    assert "dynamic" in seen, seen


def test_custom_resources(core):
    group, plural = "py.example.com", "gadgets"
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": "gadget", "kind": "Gadget"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    utils.create_from_dict(client.ApiClient(), definition)
    resources = dynamic.DynamicClient(client.ApiClient()).resources

    def find():
        resources.invalidate_cache()
        return resources.get(api_version=f"{group}/v1", kind="Gadget")

    gadgets = eventually(find)
    gadget = {"apiVersion": f"{group}/v1", "kind": "Gadget", "metadata": {"generateName": "g-"}}
    made = gadgets.create(body={**gadget, "spec": {"n": 1}}, namespace=NAMESPACE)
    assert made.metadata.name.startswith("g-")
    try:
        gadgets.create(body={**gadget, "spec": {"n": "one"}}, namespace=NAMESPACE)
        raise AssertionError("the schema was not enforced")
    except UnprocessibleEntityError as refused:
        assert "spec.n" in refused.summary(), refused.summary()
    listed = client.CustomObjectsApi().list_namespaced_custom_object(group, "v1", NAMESPACE, plural)
    assert len(listed["items"]) == 1


def test_pages(core):
    for i in range(12):
        meta = client.V1ObjectMeta(name=f"page-{i}", labels={"paged": "yes"})
        core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata=meta))
    names, token = [], None
    while True:
        page = core.list_namespaced_config_map(NAMESPACE, label_selector="paged=yes", limit=5, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert sorted(names) == sorted(f"page-{i}" for i in range(12)), names


def test_scale_and_patch(core):
    apps = client.AppsV1Api()
    labels = {"app": "scaled"}
    pods = {"containers": [{"name": "tool", "image": "meshctl/tool"}]}
    template = {"metadata": {"labels": labels}, "spec": pods}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "scaled"}, "spec": spec}
    utils.create_from_dict(client.ApiClient(), deployment, namespace=NAMESPACE)
    assert apps.patch_namespaced_deployment_scale("scaled", NAMESPACE, {"spec": {"replicas": 1}}).spec.replicas == 1

    def patch():
        operations = [{"op": "replace", "path": "/spec/replicas", "value": 2}]
        return apps.patch_namespaced_deployment("scaled", NAMESPACE, operations)

    assert patch().spec.replicas == 2

    def assert_ready():
        assert apps.read_namespaced_deployment_status("scaled", NAMESPACE).status.ready_replicas == 2

    eventually(assert_ready)


def test_token_and_reviews(core):
    request = client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=3600)
    )
    token = core.create_namespaced_service_account_token("default", NAMESPACE, request).status.token
    review = client.V1TokenReview(spec=client.V1TokenReviewSpec(token=token))
    status = client.AuthenticationV1Api().create_token_review(review).status
    assert status.user.username == f"system:serviceaccount:{NAMESPACE}:default", status
    attributes = client.V1ResourceAttributes(verb="list", resource="pods")
    asked = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
    )
    assert client.AuthorizationV1Api().create_self_subject_access_review(asked).status.allowed


def test_namespace_goes(core):
    core.delete_namespace(NAMESPACE)

    def assert_gone():
        try:
            core.read_namespace(NAMESPACE)
        except ApiException as error:
            assert error.status == 404
            return
        raise AssertionError("the namespace is still there")

    eventually(assert_gone)


def main():
    config.load_kube_config()
    core = client.CoreV1Api()
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test(core)
            print("passed", name, flush=True)


if __name__ == "__main__":
    sys.exit(main())
