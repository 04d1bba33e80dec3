"""The cryptographic C libraries of updatable firmware: packages, versions, files and their digests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CryptoAlgorithm = Literal["ed25519", "es256", "hsslms", "aes"]


@dataclass(frozen=True, slots=True)
class Library:
    """A C library inside a package: `files` maps names in the archive's top folder to their SHA-256.

    `written` are files of our own beside them: name and text.
    """

    name: str
    package: str
    version: str
    client: Literal["pip", "cargo"]
    sha256: str
    spdx: str
    licence: str
    sources: tuple[str, ...]
    include_dirs: tuple[str, ...]
    files: dict[str, str]
    cflags: tuple[str, ...] = ()
    written: tuple[tuple[str, str], ...] = ()

    @property
    def folder(self) -> str:
        """The top folder in the archive, and the name in the cache."""
        return f"{self.package}-{self.version}"

    @property
    def archive(self) -> str:
        """The name of the archive."""
        return self.folder + (".tar.gz" if self.client == "pip" else ".crate")


MONOCYPHER = Library(
    name="Monocypher",
    package="pymonocypher",
    version="4.0.3.4",
    client="pip",
    sha256="5e56e3d3eb770a53e0b9f6274146663c11a11f3d0de5cd48e3be0428d1b07a4a",
    spdx="BSD-2-Clause OR CC0-1.0",
    licence="LICENSE.txt",
    sources=("monocypher.c",),
    include_dirs=(".",),
    files={
        "monocypher.c": "57eb914fc88136119bd41655cccb8c250048bf54d470540625186f8ab16f64be",
        "monocypher.h": "c494da712122da7ff679fdcf318a5317e84972b6c950fe9d896212947797facd",
        "LICENSE.txt": "d3a6d889033e22c8ee30bb2891f0787a3288fc594994cd04c885761c4475e30f",
    },
)

#: Its assembly for Arm is for GCC alone: Clang runs out of registers in it, and takes the C code instead.
_MICRO_ECC_SOURCE = """#if defined(__clang__) && defined(__arm__)
#define uECC_PLATFORM 0
#endif
#include "uECC.c"
"""

MICRO_ECC = Library(
    name="micro-ecc",
    package="micro-ecc-sys",
    version="0.3.2",
    client="cargo",
    sha256="1b861c7e7eba25ec3fe0fde221a46bf38bd1ad200a5404b6f7e45c99b74a00fa",
    spdx="BSD-2-Clause",
    licence="micro-ecc/LICENSE.txt",
    sources=("micro-ecc/tinyops_uECC.c",),
    include_dirs=("micro-ecc",),
    files={
        "micro-ecc/uECC.c": "e63972fb13387e42cb9a350f2d3fedc2d00903feec37d6d6010a1402f97c207b",
        "micro-ecc/uECC.h": "a411babd2cba41d067bdb5e14bf7c838ade8f0fc360ad24dbd68a9f693d11ede",
        "micro-ecc/uECC_vli.h": "a8ff7957855e6520674cad4bcaf8f3e752d40f6c3f7501915c3504c777be1e7a",
        "micro-ecc/types.h": "61bd255c0dca4c69dfc779cc5c1fe1cbff47039d4bb7f37578a88f63b7fca466",
        "micro-ecc/asm_arm.inc": "bd37042c9366ad2308c0b42bd997aa36fa04e5dd20a5f6997e807d021dbcd2f8",
        "micro-ecc/asm_arm_mult_square.inc": "0e88a8691784dcde6ad283dd8c4e0ca99799d9826e3924f5d7a084c39c8b07f3",
        "micro-ecc/asm_arm_mult_square_umaal.inc": "da318a86761206601a7210eca9987803bf7f3bc24ac0549c2bb28f91a6e3b7b2",
        "micro-ecc/curve-specific.inc": "9e9d8d6771731dce2e084a4469d0dd2e9ac6245c8773766198a83f82d24b6313",
        "micro-ecc/platform-specific.inc": "af1ef1ccb0b253b5d20e6080678514782c562d5bf909ce9a67dde73e50da605a",
        "micro-ecc/LICENSE.txt": "ffd8b033d2df7568c25a98866bd92b1656f7da82d7f813c0b2eb85ec36611193",
    },
    cflags=(
        "-DuECC_SUPPORTS_secp160r1=0",
        "-DuECC_SUPPORTS_secp192r1=0",
        "-DuECC_SUPPORTS_secp224r1=0",
        "-DuECC_SUPPORTS_secp256k1=0",
        "-DuECC_SUPPORT_COMPRESSED_POINT=0",
    ),
    written=(("micro-ecc/tinyops_uECC.c", _MICRO_ECC_SOURCE),),
)

#: Takes the place of the library's own configuration: AES alone, with tables in flash.
_MBEDTLS_CONFIG = """#ifndef MBEDTLS_CONFIG_H
#define MBEDTLS_CONFIG_H
#define MBEDTLS_AES_C
#define MBEDTLS_AES_ROM_TABLES
#define MBEDTLS_AES_FEWER_TABLES
#endif
"""

#: The library's own bring in the C library's memory management and more, which AES needs nothing of.
_MBEDTLS_PLATFORM = """#ifndef MBEDTLS_PLATFORM_H
#define MBEDTLS_PLATFORM_H
#endif
"""
_MBEDTLS_ZEROIZE = """#include "mbedtls/platform_util.h"

void mbedtls_platform_zeroize(void *buffer, size_t size) {
    volatile unsigned char *bytes = buffer;
    while (size-- > 0) {
        *bytes++ = 0;
    }
}
"""

MBEDTLS = Library(
    name="Mbed TLS",
    package="mbedtls-sys-auto",
    version="2.28.15",
    client="cargo",
    sha256="2fdbd15978db1dec7592cf8864094bcf6f7a101d7f84af15c2423967079982c1",
    spdx="Apache-2.0 OR GPL-2.0-or-later",
    licence="vendor/LICENSE",
    sources=("vendor/library/aes.c", "vendor/library/tinyops_zeroize.c"),
    include_dirs=("vendor/include",),
    files={
        "vendor/library/aes.c": "6829d1306af2c6ffddec8f98196807605b3fb15d55dd72807cf2832a401b03d8",
        "vendor/library/common.h": "dc64b7334fb329a5c6c3859575c90f739082d00709a67b774024a00d0135f6f0",
        "vendor/include/mbedtls/aes.h": "cdadaa287185b4ed689b8190c3e82f2e2bdb20bdaeb1afa1849797a40d4226ee",
        "vendor/include/mbedtls/error.h": "a50196c2012fc2d8d2b02b698a43f90c404e040f82aabd4664b2133829599e34",
        "vendor/include/mbedtls/platform_util.h": "7cc9a00e3443a44973da917368991a379218512e9afde165c953c69edacdad86",
        "vendor/LICENSE": "9b405ef4c89342f5eae1dd828882f931747f71001cfba7d114801039b52ad09b",
    },
    written=(
        ("vendor/include/mbedtls/config.h", _MBEDTLS_CONFIG),
        ("vendor/include/mbedtls/platform.h", _MBEDTLS_PLATFORM),
        ("vendor/library/tinyops_zeroize.c", _MBEDTLS_ZEROIZE),
    ),
)

LIBRARIES: dict[CryptoAlgorithm, Library] = {"ed25519": MONOCYPHER, "es256": MICRO_ECC, "aes": MBEDTLS}
