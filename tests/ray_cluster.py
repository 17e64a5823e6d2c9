"""A Ray cluster of two nodes on this machine, one of which can be killed."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

# Two nodes of one core each; the second is killed when a line comes, and a line says that it was.
CLUSTER = """
import json, os, sys
from ray.cluster_utils import Cluster

folder, gate = sys.argv[1:]
os.mkdir(os.path.join(folder, "ray"))
about = {"num_cpus": 1, "object_store_memory": 100_000_000}
cluster = Cluster(
    initialize_head=True,
    head_node_args={
        **about,
        "include_dashboard": False,
        "temp_dir": folder,
        "env_vars": {"SECOND": gate + ".second"} if gate else {},
    },
)
second = cluster.add_node(**about, env_vars={"GATE": gate} if gate else {})
print(cluster.address, flush=True)
for _ in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
    print("killed", flush=True)
cluster.shutdown()
"""


@contextmanager
def cluster(
    environment: Mapping[str, str], *, gate: str = ""
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yields a cluster's address, and what kills its second node.

    Its processes have this environment; those of the second node have a GATE, and those of the
    first a SECOND, if there is a gate.
    """
    # Not pytest's folder: the name of a socket is short.
    with (
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
            [sys.executable, "-c", CLUSTER, folder, gate],
            # Where it notes its address, it expects a folder that other clusters have made.
            env={**environment, "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert ":" in address

        def kill() -> None:
            print(file=process.stdin, flush=True)
            assert process.stdout is not None
            assert process.stdout.readline() == "killed\n"

        try:
            yield address, kill
        finally:
            process.stdin.close()
