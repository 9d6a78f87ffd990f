"""Writes a file as a C array: embed.py INPUT OUTPUT NAME."""
import sys

source, target, name = sys.argv[1:]
with open(source, "rb") as file:
    data = file.read()
with open(target, "w", encoding="ascii") as out:
    out.write(f"static const unsigned char {name}[] = {{\n")
    for at in range(0, len(data), 16):
        out.write("    " + ", ".join(str(byte) for byte in data[at : at + 16]) + ",\n")
    out.write("};\n")
