"""A modem and the network behind it: AT commands on a pty, then PPP (RFC 1661, 1662, 1332), whose UDP over IPv4 goes to
a socket of this computer. Everything that the device offers is taken, but for addresses, which the network gives.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
import tty
from types import TracebackType

from tinyops.device.link.slipmux import fcs

_FLAG, _ESCAPE = 0x7E, 0x7D
_GOOD = 0xF0B8
_IP, _IPCP, _LCP = 0x0021, 0x8021, 0xC021
_REQUEST, _ACK, _NAK, _REJECT, _END, _ENDED, _PROTOCOL_REJECT, _ECHO, _ECHO_REPLY = 1, 2, 3, 4, 5, 6, 8, 9, 10
_ADDRESS_OPTION = 3
_NETWORK, DEVICE = bytes([10, 7, 0, 1]), bytes([10, 7, 0, 2])
#: The network's own address, behind which are the ports of this computer.
NETWORK = "10.7.0.1"
_COAP = 5683
_AT_ONCE = 64  # bytes


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def udp_packet(source_port: int, port: int, payload: bytes) -> bytes:
    """An IPv4 packet from the network to a port of the device."""
    udp = struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + _NETWORK + DEVICE
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + udp


def encode(protocol: int, content: bytes) -> bytes:
    """A frame of PPP, all control characters escaped."""
    body = struct.pack("!BBH", 0xFF, 3, protocol) + content
    body += (fcs(body) ^ 0xFFFF).to_bytes(2, "little")
    escaped = bytearray([_FLAG])
    for byte in body:
        escaped += bytes([_ESCAPE, byte ^ 0x20]) if byte < 0x20 or byte in (_FLAG, _ESCAPE) else bytes([byte])
    return bytes(escaped) + bytes([_FLAG])


def decode(raw: bytes) -> tuple[int, bytes] | None:
    """Protocol and content of what was between two flags; None when it is damaged."""
    body, escaped = bytearray(), False
    for byte in raw:
        if byte == _ESCAPE:
            escaped = True
            continue
        body.append(byte ^ 0x20 if escaped else byte)
        escaped = False
    if len(body) < 6 or body[:2] != b"\xff\x03" or fcs(bytes(body)) != _GOOD:
        return None
    return int.from_bytes(body[2:4], "big"), bytes(body[4:-2])


class PppModem:
    """A context. `port` is the pty for the device; `address` on the loopback leads to the device's CoAP port.

    `unregistered` questions for the network are answered by no, before it is found; with `busy` dialling fails.
    """

    def __init__(self, *, apn: str | None = None, unregistered: int = 1, busy: int = 0) -> None:
        self.commands: list[str] = []
        self.online = threading.Event()
        self.damaged = 0
        self._apn = apn
        self._unregistered = unregistered
        self._busy = busy
        self._data = False
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._outside.bind(("127.0.0.1", 0))
        self._client: tuple[str, int] | None = None
        self._inside: dict[int, socket.socket] = {}  # by the device's port
        self._line = b""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def address(self) -> str:
        return f"coap://127.0.0.1:{self._outside.getsockname()[1]}"

    def __enter__(self) -> PppModem:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join(5)
        for opened in (self._outside, *self._inside.values()):
            opened.close()
        os.close(self._master)
        os.close(self._slave)

    def drop(self) -> None:
        """The network ends the connection."""
        self._send(_LCP, self._packet(_END, 77, b""))

    def _run(self) -> None:
        while not self._ending.is_set():
            sockets = {opened.fileno(): port for port, opened in self._inside.items()}
            readable, _, _ = select.select([self._master, self._outside.fileno(), *sockets], [], [], 0.05)
            if self._master in readable:
                with contextlib.suppress(OSError):
                    self._take(os.read(self._master, 4096))
            if self._outside.fileno() in readable:
                payload, self._client = self._outside.recvfrom(2048)
                if self.online.is_set():
                    self._send(_IP, udp_packet(self._client[1], _COAP, payload))
            for port in [sockets[handle] for handle in readable if handle in sockets]:
                payload, server = self._inside[port].recvfrom(2048)
                self._send(_IP, udp_packet(server[1], port, payload))

    def _write(self, data: bytes) -> None:
        """As fast as a line of 115,200 baud: a pty would hand over more at once than a UART ever does."""
        while data:
            done = os.write(self._master, data[:_AT_ONCE])
            data = data[done:]
            time.sleep(10 * done / 115_200)

    # Commands

    def _take(self, data: bytes) -> None:
        self._line += data
        while True:
            mark = bytes([_FLAG]) if self._data else b"\r"
            if self._data and self._line.endswith(b"+++"):
                self._line, self._data = b"", False
                self.online.clear()
                self._write(b"\r\nOK\r\n")
                return
            head, found, rest = self._line.partition(mark)
            if not found:
                return
            self._line = rest
            if self._data:
                self._frame(head)
            else:
                self._command(head.removeprefix(b"+++").decode("ascii", "replace"))

    def _command(self, text: str) -> None:
        self.commands.append(text)
        self._write(text.encode() + b"\r")
        if text.startswith("ATD"):
            self._dial()
            return
        answer = b"\r\nOK\r\n"
        if text == "AT+CEREG?":
            status = 2 if self._unregistered > 0 else 5
            self._unregistered -= 1
            answer = b"\r\n+CEREG: 0,%d\r\n\r\nOK\r\n" % status
        elif text not in ("AT", "ATH", f'AT+CGDCONT=1,"IP","{self._apn}"'):
            answer = b"\r\nERROR\r\n"
        self._write(answer)

    def _dial(self) -> None:
        if self._busy > 0:
            self._busy -= 1
            self._write(b"\r\nNO CARRIER\r\n")
            return
        self._write(b"\r\nCONNECT 150000000\r\n")
        self._data = True
        self._send(_LCP, self._packet(_REQUEST, 1, b""))

    # PPP

    @staticmethod
    def _packet(code: int, number: int, content: bytes) -> bytes:
        return struct.pack("!BBH", code, number, 4 + len(content)) + content

    def _send(self, protocol: int, content: bytes) -> None:
        self._write(encode(protocol, content))

    def _frame(self, raw: bytes) -> None:
        if not raw:
            return
        found = decode(raw)
        if found is None:
            self.damaged += 1
        elif found[0] == _IP:
            self._from_device(found[1])
        elif found[0] in (_LCP, _IPCP):
            self._control(*found)
        else:
            self._send(_LCP, self._packet(_PROTOCOL_REJECT, 9, struct.pack("!H", found[0]) + found[1]))

    def _control(self, protocol: int, content: bytes) -> None:
        code, number, length = struct.unpack("!BBH", content[:4])
        options = content[4:length]
        if code == _REQUEST and protocol == _IPCP:
            self._give_address(number, options)
        elif code == _REQUEST:
            self._send(protocol, self._packet(_ACK, number, options))
        elif code == _ACK and protocol == _LCP:
            own = bytes([_ADDRESS_OPTION, 6]) + _NETWORK
            self._send(_IPCP, self._packet(_REQUEST, 2, own))
        elif code == _ECHO:
            self._send(protocol, self._packet(_ECHO_REPLY, number, bytes(4)))
        elif code == _END:
            self._send(protocol, self._packet(_ENDED, number, b""))
            self.online.clear()

    def _give_address(self, number: int, options: bytes) -> None:
        wrong, refused, rest = b"", b"", options
        while rest:
            option, rest = rest[: rest[1]], rest[rest[1] :]
            if option[0] != _ADDRESS_OPTION:
                refused += option
            elif option[2:] != DEVICE:
                wrong += bytes([_ADDRESS_OPTION, 6]) + DEVICE
        code, answer = (_REJECT, refused) if refused else (_NAK, wrong) if wrong else (_ACK, options)
        self._send(_IPCP, self._packet(code, number, answer))
        if code == _ACK:
            self.online.set()

    def _from_device(self, packet: bytes) -> None:
        """To the client that has asked last; what is for the network's own address goes to this computer's ports."""
        header = 4 * (packet[0] & 15)
        if packet[9] != 17:
            return
        source, destination, length = struct.unpack("!HHH", packet[header : header + 6])
        payload = packet[header + 8 : header + length]
        if source == _COAP and self._client is not None:
            self._outside.sendto(payload, self._client)
        elif source != _COAP and packet[16:20] == _NETWORK:
            if source not in self._inside:
                self._inside[source] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._inside[source].sendto(payload, ("127.0.0.1", destination))
