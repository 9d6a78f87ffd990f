"""Writes a file as a C array, and a number that changes with it: embed.py INPUT OUTPUT NAME."""
import hashlib
import sys

source, target, name = sys.argv[1:]
with open(source, "rb") as file:
    data = file.read()
with open(target, "w", encoding="ascii") as out:
    out.write(f"#define {name}_tag UINT64_C(0x{hashlib.sha256(data).hexdigest()[:16]})\n")
    out.write(f"static const unsigned char {name}_text[] = {{\n")
    for at in range(0, len(data), 16):
        out.write("    " + ", ".join(str(byte) for byte in data[at : at + 16]) + ",\n")
    out.write("};\n")
