"""The monitor node: rows by topic, receipts by UDP, files by service."""

import json
import socket
import time

import pytest
import rclpy
from kdp_msgs.msg import Timing
from kdp_msgs.srv import Trigger
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from kdp_core.exceptions import ConfigError
from kdp_planner_ros.latency_monitor import LatencyMonitor
from kdp_planner_ros.outputs import TIMING
from kdp_planner_ros.receipts import parse_address

MS = 1_000_000
CYCLES = 60


@pytest.fixture
def channel():
    """The simulated robot's control port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


@pytest.fixture
def monitor(ros, channel, tmp_path):
    parameters = {
        "side_channel": f"127.0.0.1:{channel.getsockname()[1]}",
        "output_dir": str(tmp_path),
        "warm_up_cycles": 10,
    }
    node = LatencyMonitor(
        namespace="cf1", parameter_overrides=[Parameter(k, value=v) for k, v in parameters.items()]
    )
    probe = rclpy.create_node("timing_probe", namespace="cf1")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(probe)

    def spin(until, seconds=5.0):
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.02)
        return until()

    yield node, probe, spin
    executor.shutdown()
    node.destroy_node()
    probe.destroy_node()


def subscription(channel, spin):
    """Port that the monitor asked receipts for."""
    got = []

    def asked():
        try:
            got.append(json.loads(channel.recv(1000)))
        except BlockingIOError:
            return bool(got)
        return True

    assert spin(asked)
    assert got[0]["cmd"] == "subscribe"
    return got[0]["port"]


def call(probe, spin, service):
    client = probe.create_client(Trigger, service)
    assert spin(client.service_is_ready)
    future = client.call_async(Trigger.Request())
    assert spin(future.done)
    return future.result()


def test_rows_and_receipts_become_a_report(monitor, channel, tmp_path):
    node, probe, spin = monitor
    port = subscription(channel, spin)
    planner = probe.create_publisher(Timing, "planner/timing", TIMING)
    driver = probe.create_publisher(Timing, "driver/timing", TIMING)
    assert spin(lambda: planner.get_subscription_count() and driver.get_subscription_count())
    channel.sendto(b"not json", ("127.0.0.1", port))
    channel.sendto(json.dumps({"t_ns": 1, "position": [0, 0, 0]}).encode(), ("127.0.0.1", port))
    for i in range(CYCLES):
        t = 1_000 * MS + 20 * MS * i
        msg = Timing(state_received_ns=t + MS, plan_start_ns=t + 2 * MS, plan_end_ns=t + 4 * MS)
        msg.header.stamp.nanosec = i
        planner.publish(msg)
        sent = Timing(
            state_received_ns=t,
            command_received_ns=t + 5 * MS,
            command_sent_ns=t + 6 * MS,
            payload_crc=100 + i,
        )
        sent.header.stamp.nanosec = i
        driver.publish(sent)
        receipt = {"receipt_ns": t + 7 * MS, "crc": 100 + i}
        channel.sendto(json.dumps(receipt).encode(), ("127.0.0.1", port))
    assert spin(lambda: len(node.log.planner) == len(node.log.driver) == len(node.log.receipts) == CYCLES)
    assert call(probe, spin, "latency_monitor/save").success
    document = json.loads((tmp_path / "latency.json").read_text())
    assert document["planner_ms"] == {"p50": 2.0, "p95": 2.0, "p99": 2.0, "n": CYCLES - 10}
    assert document["e2e_ms"]["p50"] == pytest.approx(7.0) and document["e2e_ms"]["n"] == CYCLES - 10
    assert document["replan_hz"] == pytest.approx(50.0)
    assert "simulated" in document["e2e_end"]
    assert len((tmp_path / "latency.csv").read_text().splitlines()) == CYCLES + 1
    assert call(probe, spin, "latency_monitor/reset").success
    assert node.summary().cycles == 0


def test_an_unwritable_folder_is_one_line(monitor, tmp_path):
    node, probe, spin = monitor
    node._directory = str(tmp_path / "file" / "below")
    (tmp_path / "file").write_text("in the way")
    response = call(probe, spin, "latency_monitor/save")
    assert not response.success and "cannot write into" in response.message


@pytest.mark.parametrize("text", ["localhost", "127.0.0.1:", ":1", "127.0.0.1:70000", "127.0.0.1:x"])
def test_wrong_addresses(text):
    with pytest.raises(ConfigError, match="expected host:port"):
        parse_address(text)
