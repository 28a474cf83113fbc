"""`service` and its HTTP API against the fake cluster."""

import pytest
from app import RESTART_MS, Service

from mezzo import GIB, Error, Resources
from mezzo.testing import Cluster


@pytest.fixture
def cluster() -> Cluster[Service]:
    own = Cluster(Service, {"replicas": 2})
    own.add_agent(Resources(1_000, GIB))
    own.settle()
    return own


def test_what_ends_is_replaced_after_a_while(cluster: Cluster[Service]) -> None:
    assert cluster.live == ["replica-1", "replica-2"]
    cluster.finish("replica-1", 1)
    cluster.settle()
    assert cluster.live == ["replica-2"]
    cluster.advance(RESTART_MS)
    cluster.settle()
    assert cluster.live == ["replica-2", "replica-3"]


def test_the_api_lists_and_scales(cluster: Cluster[Service]) -> None:
    cluster.run("replica-1")
    first, second = cluster.get("/").json["tasks"]
    assert (first["id"], first["state"], second["state"]) == ("replica-1", "running", "pending")
    assert first["address"] == "127.0.0.1" and first["ports"]["http"] > 0

    assert cluster.put("/replicas", {"replicas": 4}).json == {"replicas": 4}
    cluster.settle()
    assert len(cluster.live) == 4
    cluster.restart()
    assert cluster.put("/replicas", {"replicas": 1}).status == 200
    cluster.settle()
    cluster.advance(RESTART_MS)
    cluster.settle()
    assert cluster.live == ["replica-1"], "the oldest stays"
    assert cluster.get("/").json["replicas"] == 1, "not what the options say"


def test_refusals_say_what_is_wrong_and_change_nothing(cluster: Cluster[Service]) -> None:
    for body, words in (
        ({"replicas": "2"}, 'replicas: expected an integer, not "2"'),
        ({"replicas": 1_001}, "replicas: 0 to 1000, not 1001"),
        ({"replica": 1}, "replica: there is no such field"),
        ({}, "the field `replicas` is missing"),
    ):
        answer = cluster.put("/replicas", body)
        assert answer.status == 400 and words in answer.json["error"]["message"]
    assert cluster.get("/").json["replicas"] == 2
    assert cluster.get("/nowhere").status == 404
    assert cluster.request("POST", "/replicas").status == 405


def test_a_request_that_traps_changes_nothing(cluster: Cluster[Service]) -> None:
    cluster.fault_at_call(99)
    assert cluster.put("/replicas", {"replicas": 9}).status == 500
    assert cluster.get("/").json["replicas"] == 2


def test_it_refuses_more_than_there_may_be() -> None:
    with pytest.raises(Error, match="replicas: 0 to 1000, not -1"):
        Cluster(Service, {"replicas": -1}).start()
