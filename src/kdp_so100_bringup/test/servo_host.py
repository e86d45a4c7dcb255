"""A host program on Feetech's SDK, in a process of its own: JSON calls on stdin, JSON answers on stdout.

Usage: servo_host.py PORT. Drives both packages that call themselves ``scservo_sdk``: feetech-servo-sdk, whose
functions take the port, and ftservo-python-sdk, whose packet handler has it. The import path decides which.
Each call is ``[name, argument...]``; the answer is what the SDK gives back, its error codes included.
"""

import json
import sys

import scservo_sdk as sdk

PATIENCE_MS = (
    800.0  # the SDKs wait 30 to 50 ms, within which a busy machine may not have run this process at all
)

port = sdk.PortHandler(sys.argv[1])
port.setPacketTimeout = lambda _length: port.setPacketTimeoutMillis(PATIENCE_MS)
SECOND = not hasattr(sdk, "PacketHandler")
if SECOND:
    handler, bound = sdk.sms_sts(port), ()
    makeword = handler.scs_makeword
else:
    handler, bound = sdk.PacketHandler(0), (port,)
    makeword = sdk.SCS_MAKEWORD


def open():
    return bool(port.openPort())


def baud(rate):
    return bool(port.setBaudRate(rate))


def drain():
    """Forget what has come: feetech-servo-sdk takes a late answer for that to its next question."""
    port.ser.reset_input_buffer()


def ping(servo):
    return list(handler.ping(*bound, servo))


def read(servo, address, size):
    return list(handler.readTxRx(*bound, servo, address, size))


def write(servo, address, data):
    return list(handler.writeTxRx(*bound, servo, address, len(data), data))


def write_only(servo, address, data):
    return handler.writeTxOnly(*bound, servo, address, len(data), data)


def reg_write(servo, address, data):
    return list(handler.regWriteTxRx(*bound, servo, address, len(data), data))


def action(servo):
    return handler.action(*bound, servo)


def sync_read(servos, address, size):
    group = sdk.GroupSyncRead(*bound, handler, address, size)
    for servo in servos:
        group.addParam(servo)
    result = group.txRxPacket()
    values = {}
    for servo in servos:
        # The second SDK answers with a pair, and trips over a servo that did not answer.
        available = group.isAvailable(servo, address, size) if group.data_dict[servo] else False
        if available[0] if isinstance(available, tuple) else available:
            values[servo] = group.getData(servo, address, size)
    return [result, values]


def sync_write(address, data):
    size = len(next(iter(data.values())))
    group = sdk.GroupSyncWrite(*bound, handler, address, size)
    for servo, piece in data.items():
        group.addParam(int(servo), piece)
    return group.txPacket()


CALLS = {
    f.__name__: f
    for f in (open, baud, drain, ping, read, write, write_only, reg_write, action, sync_read, sync_write)
}
for line in sys.stdin:
    name, *arguments = json.loads(line)
    try:
        answer = CALLS[name](*arguments)
    except Exception as error:
        answer = {"raised": type(error).__name__, "text": str(error)}
    print(json.dumps(answer), flush=True)
