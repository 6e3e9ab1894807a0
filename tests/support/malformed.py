"""The corpus: malformed pictures made by this code, the same ones at every run, none of them stored.

systematic   each well-formed picture cut at every border of its parts, with every length wrong, with each part
             missing, twice, or changed places with the next
flipped      bytes changed at random, from a fixed seed, in every part
by hand      bombs, polyglots, loops, odd shapes, and what past findings were made of
"""

import hashlib
import io
import random
import struct
import zipfile
import zlib
from itertools import chain, pairwise

from PIL import Image

from tests.support.image_files import cut_out, encode, exif, parts, png, profile, scene, tiff, well_formed
from tests.support.png_files import png_chunk

FLIPS = 50  # of each well-formed picture
SEED = 8


def corpus():
    """(name, bytes) of all of them, each once."""
    met = set()
    for name, data in chain(_systematic(), _flipped(), by_hand()):
        digest = hashlib.sha256(data).digest()
        if digest not in met:
            met.add(digest)
            yield name, data


def _systematic():
    for name, kind, data in well_formed():
        found = list(parts(data, kind))
        assert len(found) > 1, name
        for start, end, length in found:
            for at in {start - 1, start, start + 1, start + 2, (start + end) // 2, end - 1, end}:
                if 0 < at < len(data):
                    yield f"{name} cut at {at}", data[:at]
            yield f"{name} without {start}", data[:start] + data[end:]
            yield f"{name} with {start} twice", data[:end] + data[start:]
            if length:
                at, size, order = length
                value = int.from_bytes(data[at : at + size], order)
                top = 256**size
                for wrong in {0, 1, value - 1, value + 1, 2 * value, len(data), top // 2 - 1, top // 2, top - 1} - {
                    value
                }:
                    number = (wrong % top).to_bytes(size, order)
                    yield f"{name} says {wrong} at {at}", data[:at] + number + data[at + size :]
        for (start, middle, _), (follows, end, _) in pairwise(found):
            if middle == follows:
                swapped = data[:start] + data[middle:end] + data[start:middle] + data[end:]
                yield f"{name} with {start} and {middle} swapped", swapped


def _flipped():
    rng = random.Random(SEED)
    for name, kind, data in well_formed():
        found = list(parts(data, kind))
        for turn in range(FLIPS):
            start, end, _ = found[turn % len(found)]
            changed = bytearray(data)
            for _ in range(rng.randrange(1, 6)):
                changed[rng.randrange(start, min(end, len(data)))] = rng.choice(
                    (0, 1, 127, 128, 255, rng.randrange(256))
                )
            yield f"{name} flipped {turn}", bytes(changed)


def by_hand():
    """(name, bytes) of what no mutation comes upon. The large ones are made when they are asked for."""
    yield from _odd_shapes()
    yield from _bombs()
    yield from _polyglots()
    yield from _foreign_blocks()
    for make in findings():
        yield make.__name__, make(200_000)


def _odd_shapes():
    for width, height in ((0, 0), (0, 20), (20, 0), (1, 1), (1, 100_000), (100_000, 1), (15, 15), (2**31, 2**31)):
        if 0 < width * height < 10**6:
            yield f"png {width} x {height}", png(width, height, rows=(b"\0" + bytes(3 * width)) * height)
        yield f"png {width} x {height} without rows", png(width % 2**32, height % 2**32)
    for kind in ("BMP", "TIFF", "GIF", "WEBP", "JPEG", "AVIF"):
        for size in ((1, 2000), (2000, 1), (3, 3)):
            yield f"{kind} {size}", encode(Image.new("RGB", size), kind)
    for depth, colour_type in ((3, 2), (0, 0), (16, 3), (1, 2), (255, 255), (8, 1), (32, 6)):
        yield f"png {depth} bits, type {colour_type}", png(24, 18, depth, colour_type, (b"\0" + bytes(300)) * 18)
    for bits, samples in ((1, 7), (2, 3), (64, 1), (12, 3), (0, 1), (8, 0), (8, 100), (16, 60_000)):
        tags = (
            (256, 3, 1, 24),
            (257, 3, 1, 18),
            (258, 3, 1, bits),
            (262, 3, 1, 2),
            (273, 4, 1, "at"),
            (277, 3, 1, samples),
        )
        yield f"tiff {samples} samples of {bits} bits", tiff(*tags, (279, 4, 1, 3000), payload=bytes(3000))
    for photometric in (*range(11), 32803, 65535):
        tags = (256, 3, 1, 24), (257, 3, 1, 18), (258, 3, 1, 8), (262, 3, 1, photometric), (273, 4, 1, "at")
        yield f"tiff photometric {photometric}", tiff(*tags, (277, 3, 1, 1), (279, 4, 1, 432), payload=bytes(432))
    for compression in (0, 2, 3, 4, 5, 6, 7, 8, 32773, 34661, 34712, 50000, 50001, 65535):
        tags = (
            (256, 3, 1, 24),
            (257, 3, 1, 18),
            (258, 3, 1, 8),
            (259, 3, 1, compression),
            (262, 3, 1, 1),
            (273, 4, 1, "at"),
        )
        yield (
            f"tiff compression {compression}",
            tiff(*tags, (277, 3, 1, 1), (279, 4, 1, 432), payload=bytes(range(216)) * 2),
        )


def _bombs():
    """Files that claim to be, or unpack to, far more than they are."""
    for side in (9_000, 30_000, 65_535, 2**31 - 1):
        yield f"png claims {side}", png(side, side)
        yield f"png claims {side} and packs zeros", png(side, side, rows=bytes(10_000_000))
        tags = (256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1)
        yield f"tiff claims {side}", tiff(*tags, (279, 4, 1, 2**32 - 1))
        bmp = bytearray(encode(scene(), "BMP"))
        bmp[18:26] = struct.pack("<ii", side, side)
        yield f"bmp claims {side}", bytes(bmp)
        gif = bytearray(encode(scene(), "GIF"))
        gif[6:10] = struct.pack("<HH", side & 0xFFFF, side & 0xFFFF)
        yield f"gif claims {side}", bytes(gif)
        jpeg = bytearray(encode(scene(), "JPEG"))
        at = jpeg.index(b"\xff\xc0")
        jpeg[at + 5 : at + 9] = struct.pack(">HH", side & 0xFFFF, side & 0xFFFF)
        yield f"jpeg claims {side}", bytes(jpeg)
    # the canvas of an extended WebP, 24 bits a side, less one
    webp = encode(scene(), "WEBP", save_all=True)
    for side in (b"\xff\xff\xff", b"\xff\x3f\0", b"\0\0\0"):
        yield f"webp claims {side.hex()}", webp[:24] + side + side + webp[30:]
    frame = webp.index(b"ANMF")
    yield "webp with a huge frame", webp[: frame + 14] + b"\xff\xff\xff\xff\xff\xff" + webp[frame + 20 :]
    gif = encode(scene(), "GIF", save_all=True)
    for at in [at for at in range(len(gif)) if gif[at : at + 1] == b"\x2c"][:4]:
        yield f"gif with a huge frame at {at}", gif[: at + 5] + b"\xff\xff\xff\xff" + gif[at + 9 :]
        yield f"gif with a frame outside at {at}", gif[: at + 1] + b"\xff\xff\xff\xff" + gif[at + 5 :]
    packed = zlib.compress(bytes(30_000_000), 9)
    for name in (b"zTXt", b"iCCP"):
        yield f"{name.decode()} bomb", png(24, 18, before=png_chunk(name, b"a\0\0" + packed))
    text = b"a\0\1\0\0\0" + packed
    yield "iTXt bomb", png(24, 18, rows=(b"\0" + bytes(72)) * 18, before=png_chunk(b"iTXt", text))
    yield "zTXt bombs", png(24, 18, before=100 * png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000), 9)))


def _polyglots():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../../etc/passwd", "root")
    script = b"=1;alert(document.domain);//<script>alert(1)</script>"
    for kind in ("PNG", "GIF", "JPEG", "WEBP", "BMP", "TIFF"):
        data = encode(scene(), kind)
        yield f"{kind} and zip", data + archive.getvalue()
        yield f"{kind} and script", data + script
        yield f"zip and {kind}", archive.getvalue() + data
        yield f"{kind} behind a BOM", b"\xef\xbb\xbf" + data
        yield f"{kind} with zeros behind", data + bytes(100_000)
    gif = encode(scene(), "GIF")
    yield "gif as script", b"GIF89a/*" + gif[8:] + b"*/" + script
    yield "gif 87", b"GIF87a" + gif[6:]
    for head in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"II*\0", b"MM\0+", b"II+\0"):
        yield f"only {head!r}", head
        for other in (encode(scene(), kind) for kind in ("PNG", "JPEG", "GIF")):
            yield f"{head!r} before another", head + other
    for brand in (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        yield f"only the brand {brand!r}", b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1" + brand
        yield f"the brand {brand!r} before a PNG", b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1" + brand + png(24, 18)


def _foreign_blocks():
    """EXIF and colour profiles that are not what they should be."""
    entry = struct.Struct(">HHI4s")

    def directory(*entries, following=0):
        return struct.pack(">H", len(entries)) + b"".join(entries) + struct.pack(">I", following)

    blocks = {"loops": b"MM\0*\0\0\0\x08" + directory(entry.pack(0x8769, 4, 1, b"\0\0\0\x08"), following=8)}
    deep = b"MM\0*\0\0\0\x08"
    for _ in range(200):
        deep += directory(entry.pack(0x8769, 4, 1, struct.pack(">I", len(deep) + 18)))
    blocks["nested 200 deep"] = deep
    blocks["greedy"] = b"MM\0*\0\0\0\x08" + directory(*(entry.pack(n, 7, 60_000, bytes(4)) for n in range(4000)))
    for value in (0, 9, 99, 65535):
        blocks[f"orientation {value}"] = b"MM\0*\0\0\0\x08" + directory(
            entry.pack(0x0112, 3, 1, struct.pack(">HH", value, 0))
        )
    for type_ in (*range(14), 255):
        for count in (0, 1, 2, 2**32 - 1):
            tag = entry.pack(0x0112, type_, count, b"\0\6\0\6")
            blocks[f"orientation of type {type_}, {count} times"] = b"MM\0*\0\0\0\x08" + directory(tag)
    for name, block in blocks.items():
        body = b"Exif\0\0" + block[:65_000]
        yield f"jpeg, exif {name}", encode(scene(), "JPEG", exif=body)
        yield f"png, exif {name}", png(24, 18, rows=(b"\0" + bytes(72)) * 18, before=png_chunk(b"eXIf", body[6:]))
        yield f"webp, exif {name}", encode(scene(), "WEBP", exif=body)
    good = profile()
    rng = random.Random(SEED)
    broken = [good[:n] for n in (1, 4, 64, 127, 128, 131, 200, len(good) - 1)]
    broken += [good[:16] + space + good[20:] for space in (b"CMYK", b"GRAY", b"XYZ ", b"Lab ", b"\0\0\0\0", b"RGB\xff")]
    for _ in range(150):
        changed = bytearray(good)
        for _ in range(4):
            changed[rng.randrange(len(good))] = rng.randrange(256)
        broken.append(bytes(changed))
    for n, block in enumerate(broken):
        yield f"png, profile {n}", encode(scene(), "PNG", icc_profile=block)
        yield f"cmyk jpeg, profile {n}", encode(scene().convert("CMYK"), "JPEG", icc_profile=block)
    yield "png, both broken", encode(cut_out(), "PNG", icc_profile=good[:200], exif=exif()[:30])


# --- what brought the decoder to its knees: each took minutes, or a gigabyte, at 20 MB


def findings():
    """Makers of files of about `size` bytes."""
    return (
        jpeg_of_comments,
        jpeg_of_exif_segments,
        jpeg_of_fill_bytes,
        png_of_profiles,
        png_of_texts,
        tiff_of_one_pixel_tiles,
        tiff_of_strips,
        tiff_of_rationals,
    )


def _jpeg_with(segment, size):
    data = encode(scene(), "JPEG")
    return data[:2] + segment * (size // len(segment)) + data[2:]


def jpeg_of_comments(size):
    return _jpeg_with(b"\xff\xfe\0\2", size)


def jpeg_of_exif_segments(size):
    return _jpeg_with(b"\xff\xe1\0\x0aExif\0\0x\0", size)


def jpeg_of_fill_bytes(size):
    return _jpeg_with(b"\xff", size)


def _png_with(chunk, size):
    return png(24, 18, rows=(b"\0" + bytes(72)) * 18, before=chunk * (size // len(chunk)))


def png_of_profiles(size):
    return _png_with(png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(900_000), 9)), size)


def png_of_texts(size):
    return _png_with(png_chunk(b"tEXt", b"a\0"), size)


def _tiff_with(size, *tags):
    plain = (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)
    return tiff(*plain, *tags, payload=struct.pack("<I", 8) * (size // 4))


def tiff_of_one_pixel_tiles(size):
    count = size // 4
    tiles = (322, 4, 1, 1), (323, 4, 1, 1), (324, 4, count, "at"), (325, 4, 1, 1)
    return _tiff_with(size, (256, 4, 1, 100), (257, 4, 1, count // 100), *tiles)


def tiff_of_strips(size):
    count = size // 4
    strips = (273, 4, count, "at"), (278, 4, 1, 1), (279, 4, count, "at")
    return _tiff_with(size, (256, 4, 1, 13), (257, 4, 1, count), *strips)


def tiff_of_rationals(size):
    picture = (256, 4, 1, 24), (257, 4, 1, 18), (273, 4, 1, 8), (278, 4, 1, 18), (279, 4, 1, 432)
    return _tiff_with(size, *picture, (282, 5, size // 8, "at"))
