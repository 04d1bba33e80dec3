"""6LoWPAN on 802.15.4: how many frames a datagram takes and how long they are on the air, as a model; and what was on
the air, dissected by scapy, which knows nothing of the model and nothing of RIOT.

RFC 4944 (fragments), RFC 6282 (compressed headers), IEEE 802.15.4 (O-QPSK at 2.4 GHz, 250 kbit/s).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.zep_air import Heard

FRAME_MAX = 127
#: Frame control, sequence number, PAN, two long addresses; FCS.
MAC_BYTES = 2 + 1 + 2 + 8 + 8 + 2
#: What RIOT lets a frame carry, whatever its addresses: 25 bytes are left for the MAC's header and FCS.
CARRIED = FRAME_MAX - 25
_FIRST, _NEXT = 4, 5  # headers of fragments
_IPV6_UDP = 40 + 8
_FIRST_FRAGMENT, _NEXT_FRAGMENT = 0b11000, 0b11100  # RFC 4944, 5.3
#: IPHC and UDP of two global addresses, one of them known by context, with a flow label and a hop limit: what Linux
#: sends to a device behind a border router.
COMPRESSED_GLOBAL = 29


def frames_of(udp_bytes: int, headers: int = COMPRESSED_GLOBAL) -> list[int]:
    """Bytes that each frame of a datagram carries behind the MAC's header, FCS not counted.

    `udp_bytes` is UDP's payload, `headers` those of IPv6 and UDP as compressed by RFC 6282. A first fragment holds a
    multiple of 8 bytes of the datagram as it was before compression, and so do the others but the last.
    """
    if headers + udp_bytes <= CARRIED:
        return [headers + udp_bytes]
    saved = _IPV6_UDP - headers
    first = (CARRIED - _FIRST + saved) // 8 * 8
    each = (CARRIED - _NEXT) // 8 * 8
    left = _IPV6_UDP + udp_bytes - first
    sizes = [_FIRST + first - saved]
    while left > 0:
        sizes.append(_NEXT + min(left, each))
        left -= each
    return sizes


@dataclass(frozen=True)
class Airtime:
    """Seconds that frames take on the air, without losses.

    The defaults are those of 802.15.4 at 2.4 GHz: 32 us per byte; 6 bytes of preamble, start and length; the mean of
    the first back-off (3.5 of 320 us), 128 us to hear whether the channel is clear, and 192 us to turn around, before
    each frame; 192 us, an acknowledgement of 5 bytes and an interframe space of 640 us behind it.
    """

    byte: float = 32e-6
    preamble: int = 6
    access: float = 3.5 * 320e-6 + 128e-6 + 192e-6
    acknowledgement: float = 192e-6 + (6 + 5) * 32e-6
    spacing: float = 640e-6

    def of(self, carried: Iterable[int]) -> float:
        """Of frames that carry so many bytes each."""
        return sum(
            self.access + (self.preamble + MAC_BYTES + size) * self.byte + self.acknowledgement + self.spacing
            for size in carried
        )


def arrives(frames: int, loss: float, tries: int = 4) -> float:
    """Chance that all frames of a datagram arrive, each of which is sent up to `tries` times."""
    return (1.0 - loss**tries) ** frames


@dataclass(frozen=True)
class Datagram:
    """What one UDP datagram was on the air: bytes that each of its frames carried, and those of compressed headers."""

    radio: int
    frames: tuple[int, ...]
    headers: int
    ports: tuple[int, int]
    payload: bytes


def dissect(heard: Iterable[Heard]) -> Iterator[Datagram]:
    """The UDP datagrams of what was heard, put together again from their fragments, in the order of their ends.

    Repeated frames, lost ones and all that is not UDP are left out, and fragments of which some are missing.
    """
    open_: dict[tuple[int, int], list[bytes]] = {}
    last: dict[int, bytes] = {}
    for each in heard:
        frame = each.frame
        if each.lost or last.get(each.radio) == frame or not _is_data(frame):
            continue
        last[each.radio] = frame
        carried = frame[MAC_BYTES - 2 : -2]
        kind, tag = carried[0] >> 3, int.from_bytes(carried[2:4], "big")
        if kind == _FIRST_FRAGMENT:
            open_[each.radio, tag] = [carried]
        elif kind == _NEXT_FRAGMENT:
            parts = open_.get((each.radio, tag))
            if parts is not None:
                parts.append(carried)
        parts = [carried] if kind not in (_FIRST_FRAGMENT, _NEXT_FRAGMENT) else open_.get((each.radio, tag), [])
        found = _together(each.radio, parts)
        if found is not None:
            open_.pop((each.radio, tag), None)
            yield found


def _is_data(frame: bytes) -> bool:
    """Whether it carries something between two long addresses."""
    from scapy.config import conf
    from scapy.layers.dot15d4 import Dot15d4FCS

    conf.dot15d4_protocol = "sixlowpan"  # type: ignore[assignment]  # scapy says None
    if len(frame) <= MAC_BYTES:
        return False
    outer = Dot15d4FCS(frame)
    return (outer.fcf_frametype, outer.fcf_srcaddrmode, outer.fcf_destaddrmode) == (1, 3, 3)


def _together(radio: int, parts: list[bytes]) -> Datagram | None:
    """The datagram of carried bytes, as scapy reads them; None as long as something is missing."""
    from scapy.layers.sixlowpan import (
        LoWPAN_NHC,
        LoWPAN_NHC_UDP,
        LoWPANFragmentationFirst,
        LoWPANFragmentationSubsequent,
        SixLoWPAN,
    )

    if not parts:
        return None
    first = SixLoWPAN(parts[0])
    if LoWPAN_NHC not in first or not isinstance(first[LoWPAN_NHC].exts[0], LoWPAN_NHC_UDP):
        return None
    ports = (int(first[LoWPAN_NHC].exts[0].udpSourcePort), int(first[LoWPAN_NHC].exts[0].udpDestPort))
    is_fragment = LoWPANFragmentationFirst in first
    payload = bytes(first.lastlayer().load)
    headers = len(parts[0]) - len(payload) - (_FIRST if is_fragment else 0)
    for part in map(SixLoWPAN, parts[1:]):
        assert LoWPANFragmentationSubsequent in part
        if part.datagramOffset * 8 != _IPV6_UDP + len(payload):
            return None
        payload += bytes(part.lastlayer().load)
    if is_fragment and _IPV6_UDP + len(payload) < first.datagramSize:
        return None
    assert not is_fragment or _IPV6_UDP + len(payload) == first.datagramSize
    return Datagram(radio, tuple(len(part) for part in parts), headers, ports, payload)


def write_recording(path: Path, heard: Iterable[Heard]) -> None:
    """A line for each frame: the radio, and what it sent, in hexadecimal."""
    lines = (f"{each.radio} {each.datagram.hex()}\n" for each in heard if each.frame and not each.lost)
    path.write_text("".join(lines), encoding="ascii")


def read_recording(path: Path) -> list[Heard]:
    """What `write_recording` has written, without times."""
    rows = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return [Heard(0.0, int(radio), bytes.fromhex(datagram), lost=False) for radio, datagram in rows]


def lowpan_messages(block_bytes: int) -> tuple[int, int]:
    """Bytes of the messages of an exchange that sends a block of an update's payload: the request, its answer."""
    import aiocoap
    from aiocoap.numbers.codes import Code

    exponent = block_bytes.bit_length() - 5
    request = aiocoap.Message(code=Code.PUT, payload=bytes(block_bytes), _mtype=aiocoap.CON, _mid=1, _token=b"\x01\x02")
    request.opt.uri_path = ("suit", "payload")
    request.opt.content_format = 42
    request.opt.etag = bytes(8)
    request.opt.block1 = (100, True, exponent)
    answer = aiocoap.Message(code=Code.CONTINUE, _mtype=aiocoap.ACK, _mid=1, _token=b"\x01\x02")
    answer.opt.block1 = (100, True, exponent)
    return len(request.encode()), len(answer.encode())


def airtime_table(image: int = 50_000, loss: float = 0.01) -> str:
    """Markdown: an image by 802.15.4, one hop, by size of blocks."""
    lines = [
        "| block | frames of a request, its answer | airtime | 50 kB on the air | blocks sent again, of 1,000 |",
        "|---|---|---|---|---|",
    ]
    for size in (16, 32, 64, 128, 256, 512, 1024):
        request, answer = (frames_of(length) for length in lowpan_messages(size))
        seconds = Airtime().of(request) + Airtime().of(answer)
        whole = arrives(len(request) + len(answer), loss, tries=1)
        total = math.ceil(image / size) * seconds
        again = 1000 * (1 - whole)
        lines.append(
            f"| {size:,} B | {len(request)} + {len(answer)} | {1000 * seconds:.1f} ms | {total:.1f} s | {again:.0f} |"
        )
    return "\n".join(lines)
