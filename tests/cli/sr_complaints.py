"""What dsrdump (dcmtk) and dciodvfy (dicom3tools) complain of in a structured report, and which of it is not ours."""
import re
import shutil
import subprocess

TOOLS = ("dsrdump", "dciodvfy")


def missing():
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def complaints(tool, path):
    done = subprocess.run([tool, path], capture_output=True, text=True, errors="replace")
    words = done.stderr.splitlines() + [] if tool == "dciodvfy" else [l for l in done.stderr.splitlines() if l.startswith(("E:", "W:", "F:"))]
    if tool == "dsrdump" and done.returncode != 0:
        words.append(f"dsrdump ends with {done.returncode}")
    return [l for l in words if l.startswith(("Error", "Warning", "E:", "W:", "F:", "dsrdump ends"))]


def is_of_image(line, of_image):
    """Whether a complaint is about what the image lacks or has wrong, or about the tool: DCMTK 3.6's dsr does not
    know UTF-8 and code extensions."""
    tag = re.search(r"\(0x[0-9a-f]{4},0x[0-9a-f]{4}\)", line)
    return (line in of_image or "does not support this Specific Character Set" in line or "unknown/unsupported SpecificCharacterSet" in line or (tag and tag[0] in of_image)
            or ("needed to build DICOMDIR" in line and line in of_image))


def ours(path, image):
    """The complaints about a report on an image that neither it nor the tools explain."""
    of_image = " ".join(complaints("dciodvfy", image))
    return [f"{tool}: {l}" for tool in TOOLS for l in complaints(tool, path) if not is_of_image(l, of_image)]
