"""Throughput over time: as a table, as SVG and PNG, and on the terminal."""
import shutil
import subprocess

BIN_S = 0.25


def bins(samples):
    """Bytes a second up and down, for each BIN_S: (middle, up, down)."""
    rows = []
    last = samples[0]
    for sample in samples[1:]:
        elapsed = sample[0] - last[0]
        if elapsed >= BIN_S:
            rows.append(((sample[0] + last[0]) / 2, (sample[1] - last[1]) / elapsed,
                         (sample[2] - last[2]) / elapsed))
            last = sample
    return rows


def write_data(samples, directory):
    path = directory / "throughput.tsv"
    with open(path, "w") as file:
        file.write("t_s\tup_bytes_per_s\tdown_bytes_per_s\n")
        for row in bins(samples):
            file.write("%.3f\t%.0f\t%.0f\n" % row)
    return path


def gnuplot(script, **variables):
    settings = "; ".join(f"{name}='{value}'" for name, value in variables.items())
    result = subprocess.run(["gnuplot", "-e", settings, str(script)], text=True,
                            capture_output=True)
    if result.returncode != 0:
        print(f"demo: gnuplot failed: {result.stderr.strip()}")
    return result


def draw(script, data, directory):
    """Draws the files and shows a small picture. Returns the files; none without gnuplot."""
    if shutil.which("gnuplot") is None:
        print("demo: no picture, because gnuplot is not installed (scripts/bootstrap demo)")
        return []
    if len(data.read_text().splitlines()) < 3:
        print("demo: no picture, because it was over too soon")
        return []
    pictures = []
    for kind in ("svg", "png"):
        path = directory / f"throughput.{kind}"
        if gnuplot(script, data=data, output=path, kind=kind).returncode == 0:
            pictures.append(path)
    columns = min(shutil.get_terminal_size((79, 24)).columns, 100) - 1
    small = gnuplot(script, data=data, kind="dumb", columns=columns, rows=16)
    print("\n" + "\n".join(line.rstrip() for line in small.stdout.splitlines() if line.strip()))
    return pictures
