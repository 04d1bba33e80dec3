"""An L2CAP credit-based channel of Linux: Python's sockets cannot say that an address is of Low Energy."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from typing import Any

_L2CAP, _LE_PUBLIC, _LE_RANDOM = 0, 1, 2
_AF_BLUETOOTH, _SOL_BLUETOOTH, _BT_RCVMTU = 31, 274, 13
_MTU = 1280


def connect_l2cap(address: str, psm: int, seconds: float) -> socket.socket:
    """A connected, non-blocking socket whose messages are service data units; OSError when it cannot be had.

    A random address of Low Energy has its two highest bits set (static) or a resolvable form; public ones are tried
    second.
    """
    kinds = (_LE_RANDOM, _LE_PUBLIC) if int(address[:2], 16) >> 6 else (_LE_PUBLIC, _LE_RANDOM)
    failure = OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
    for kind in kinds:
        try:
            return _connect(address, psm, kind, seconds)
        except OSError as error:
            failure = error
    raise failure


def _connect(address: str, psm: int, kind: int, seconds: float) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)
    opened = socket.socket(getattr(socket, "AF_BLUETOOTH"), socket.SOCK_SEQPACKET, _L2CAP)  # noqa: B009
    try:
        timeout = struct.pack("@ll", int(seconds), 0)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        _call(libc.bind, opened, pack_address(b"\0" * 6, 0, _LE_PUBLIC))
        opened.setsockopt(_SOL_BLUETOOTH, _BT_RCVMTU, struct.pack("@H", _MTU))
        _call(libc.connect, opened, pack_address(_bytes_of(address), psm, kind))
        opened.setblocking(False)
    except BaseException:
        opened.close()
        raise
    return opened


def _call(function: Any, opened: socket.socket, address: bytes) -> None:
    if function(opened.fileno(), address, len(address)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def pack_address(address: bytes, psm: int, kind: int) -> bytes:
    """struct sockaddr_l2: family in the machine's order, all else little-endian."""
    return struct.pack("=H", _AF_BLUETOOTH) + struct.pack("<H6sHBx", psm, address, 0, kind)


def _bytes_of(address: str) -> bytes:
    return bytes(int(part, 16) for part in reversed(address.split(":")))
