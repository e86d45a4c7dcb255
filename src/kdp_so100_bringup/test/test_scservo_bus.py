"""The plain bus against answers that no sound servo gives; the test plays the servos on a pseudo-terminal."""

import os
import threading
import tty

import pytest

from kdp_so100_bringup.arm_bus import BadChecksum
from kdp_so100_bringup.scservo_bus import ScservoBus

IDS = (1, 2, 3, 4, 5, 6)


@pytest.fixture
def answering():
    """Give a function: (what every request is answered with) -> an open bus; nothing is asked on opening."""
    master, slave = os.openpty()
    tty.setraw(slave)
    buses = []

    def make(answer):
        bus = ScservoBus(os.ttyname(slave), IDS, 0.01)
        assert bus._port.openPort()
        buses.append(bus)

        def serve():
            try:
                while os.read(master, 256):
                    os.write(master, answer)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        return bus

    yield make
    for bus in buses:
        bus.close()
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize(
    "answer",
    [
        bytes((255, 255, 1, 2, 0, 252)),  # right checksum, no data
        bytes((255, 255, 1, 0, 0, 1, 254, 7)),  # length 3 damaged to 0
        bytes((255, 255, 1, 1, 0, 1, 252, 7)),
    ],
)
def test_answers_of_a_wrong_length_are_damage_and_not_a_lost_cable(answering, answer):
    bus = answering(answer)
    with pytest.raises(BadChecksum, match="shoulder_pan"):
        bus.torque_enabled()
