"""CRC-32C of many short byte strings at once.

A checksum is linear in the bits of strings of one length (Peterson and Brown 1961): where two strings differ
in some bytes, their checksums differ by what each of these bytes contributes, which depends on nothing but
the byte's difference and its distance from the end. Events of a training differ in a dozen bytes, so a dozen
table look-ups in columns replace a call for each event.
"""

import google_crc32c
import numpy as np
from numpy.typing import NDArray

MAX_ROW = 256
"""Longest string in bytes that `of_rows` takes."""


def of(data: bytes) -> int:
    """Return the checksum of `data`."""
    checksum: int = google_crc32c.value(data)
    return checksum


def of_rows(rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the checksum of each row.

    Parameters
    ----------
    rows
        Shape (k, n) with k at least 1 and n in [1, `MAX_ROW`].
    """
    difference = rows ^ rows[0]
    checksums = np.full(len(rows), of(rows[0].tobytes()), np.uint32)
    for column in np.flatnonzero(difference.any(axis=0)).tolist():
        checksums ^= np.take(_CONTRIBUTIONS[rows.shape[1] - 1 - column], difference[:, column])
    return checksums


def of_lengths(lengths: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the masked checksum of each of `lengths` as the u64 in little endian that it is on disk."""
    if not len(lengths) or lengths.max() < len(_SHORT):
        return np.take(_SHORT, lengths)
    return masked(_of_lengths(lengths))


def masked(checksums: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return `checksums` as they stand in a file: rotated and shifted, lest they be part of one themselves."""
    rotated = (checksums >> np.uint32(15)) | (checksums << np.uint32(17))
    return rotated + np.uint32(0xA282EAD8)


def _contributions() -> NDArray[np.uint32]:
    """Return shape (MAX_ROW, 256): what a byte contributes at each distance from the end."""
    nothing = of(b"\0")
    last = np.array([of(bytes([byte])) ^ nothing for byte in range(256)], np.uint32)
    table = np.empty((MAX_ROW, 256), np.uint32)
    table[0] = last
    for distance in range(1, MAX_ROW):
        nearer = table[distance - 1]
        table[distance] = (nearer >> np.uint32(8)) ^ last[nearer & np.uint32(255)]
    return table


def _of_lengths(lengths: NDArray[np.uint32]) -> NDArray[np.uint32]:
    checksums = np.full(len(lengths), of(bytes(8)), np.uint32)
    for byte in range(4):
        octets = (lengths >> np.uint32(8 * byte)) & np.uint32(255)
        checksums ^= np.take(_CONTRIBUTIONS[7 - byte], octets)
    return checksums


_CONTRIBUTIONS = _contributions()
_SHORT = masked(_of_lengths(np.arange(1 << 16, dtype=np.uint32)))
