"""Reads and writes .safetensors: 8-byte little-endian header length, JSON header, data."""

import json
import struct
from pathlib import Path

import numpy as np

DTYPES = {
    'F32': np.dtype('<f4'),
    'F64': np.dtype('<f8'),
    'I32': np.dtype('<i4'),
    'I64': np.dtype('<i8'),
    'U8': np.dtype('u1'),
}


def write_safetensors(path, tensors, metadata=None):
    """`tensors`: name -> array, written in this order, as int32 or else float32.

    `metadata`: name -> string.
    """
    header, blocks, offset = {}, [], 0
    if metadata:
        header['__metadata__'] = metadata
    for name, array in tensors.items():
        dtype = 'I32' if np.asarray(array).dtype == np.int32 else 'F32'
        block = np.ascontiguousarray(array, DTYPES[dtype])
        end = offset + block.nbytes
        header[name] = {'dtype': dtype, 'shape': list(block.shape), 'data_offsets': [offset, end]}
        blocks.append(block.tobytes())
        offset = end
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack('<Q', len(text)) + text + b''.join(blocks))


def read_safetensors(path):
    """(name -> array, metadata)."""
    data = Path(path).read_bytes()
    size = struct.unpack('<Q', data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop('__metadata__', {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + o for o in entry['data_offsets'])
        tensors[name] = np.frombuffer(data[begin:end], DTYPES[entry['dtype']]).reshape(entry['shape'])
    return tensors, metadata
