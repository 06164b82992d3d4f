"""What PIL decodes the files of test/fixtures/images to: decoded.json and decoded.bin.gz there.

decoded.json: file -> {height, width, offset, exif}, offset of its pixels, u8 [H, W, 3], in the
unzipped decoded.bin; `exif` true for the picture turned as its EXIF orientation says. 16-bit grey
keeps its high byte: PIL's own convert('RGB') clips such samples at 255.
"""

import gzip
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FOLDER = Path(__file__).parent.parent / 'test/fixtures/images'


def pixels(image):
    if image.mode.startswith('I'):
        high = (np.asarray(image) >> 8).astype(np.uint8)
        return np.stack([high] * 3, axis=-1)
    return np.asarray(image.convert('RGB'))


entries, blocks, offset = [], [], 0
for path in sorted(FOLDER.glob('*/*')):
    if path.suffix not in ('.jpeg', '.jpg', '.png') or path.name.startswith('invalid-'):
        continue
    for exif in (False, True):
        if exif and not path.name.startswith('orientation_'):
            continue
        image = Image.open(path)
        block = pixels(ImageOps.exif_transpose(image) if exif else image)
        entries.append(
            {
                'file': f'{path.parent.name}/{path.name}',
                'exif': exif,
                'height': block.shape[0],
                'width': block.shape[1],
                'offset': offset,
            }
        )
        blocks.append(block.tobytes())
        offset += block.size
(FOLDER / 'decoded.json').write_text(json.dumps(entries, indent=1) + '\n')
with gzip.GzipFile(FOLDER / 'decoded.bin.gz', 'wb', mtime=0) as file:
    file.write(b''.join(blocks))
