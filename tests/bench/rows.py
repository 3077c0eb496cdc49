# SPDX-License-Identifier: Apache-2.0
"""The rows of the table that the benchmark prints and the README holds: what, the bar, how a value
looks. A row without a bar is printed for comparison."""

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
HEAD = ("what", "measured", "bar", "met", "beside it")

# id, what, format of the value, bar as text, at most or at least (None: no bar)
ROWS = (
    ("frame_997", "kernel side, per native frame, 997 Hz", "{:.0f} ns", "<= 150 ns", 150),
    ("frame_99", "the same at 99 Hz", "{:.0f} ns", "<= 400 ns", 400),
    ("frame_19", "the same at 19 Hz", "{:.0f} ns", "", None),
    ("sample_997", "kernel side, a sample of 30 native frames, 997 Hz", "{:.1f} µs", "<= 5 µs", 5),
    ("sample_99", "the same at 99 Hz", "{:.1f} µs", "", None),
    ("sample_19", "the same at 19 Hz", "{:.1f} µs", "", None),
    ("user_sample", "user side, CPU per further sample, names included", "{:.1f} µs", "<= 3.3 µs",
     3.3),
    ("user_fixed", "CPU of a recording of 8 s at 99 Hz", "{:.2f} s", "", None),
    ("whole", "whole stacks, mixed load at 997 Hz", "{:.1f} %", ">= 99 %", -99),
    ("lost", "samples lost at 997 Hz on all CPUs", "{:.0f}", "0", 0),
    ("storm_samples_99", "storm of 500 execs/s, 99 Hz: of perf's samples", "{:.1f} %", ">= 95 %", -95),
    ("storm_whole_99", "of these whole", "{:.1f} %", ">= 95 %", -95),
    ("storm_unknown_99", "of their frames unknown", "{:.2f} %", "<= 1 %", 1),
    ("storm_cpu_99", "the recorder's CPU meanwhile", "{:.1f} % of a core", "<= 3 %", 3),
    ("storm_samples_997", "the same storm at 997 Hz: of perf's samples", "{:.1f} %", ">= 95 %", -95),
    ("storm_whole_997", "of these whole, 997 Hz", "{:.1f} %", ">= 95 %", -95),
    ("storm_unknown_997", "of their frames unknown, 997 Hz", "{:.2f} %", "<= 1 %", 1),
    ("storm_cpu_997", "the recorder's CPU meanwhile, 997 Hz", "{:.1f} % of a core", "", None),
    ("storm_rss", "the agent's RSS, from the 20th to the 60th second of a storm", "{:+.1f} MiB",
     "flat (<= 2 MiB)", 2),
    ("start_sampling_quiet", "start to the first sample, warm row cache", "{:.2f} s", "<= 0.5 s", 0.5),
    ("start_ready_quiet", "start to ready", "{:.2f} s", "<= 1 s", 1),
    ("start_known_quiet", "start to all running programs unwindable", "{:.2f} s", "<= 2 s", 2),
    ("start_cpu_quiet", "CPU of the start", "{:.2f} s", "<= 0.3 s", 0.3),
    ("start_sampling_busy", "start to the first sample, 13 runnable threads", "{:.2f} s", "<= 0.5 s",
     0.5),
    ("start_ready_busy", "start to ready, 13 runnable threads", "{:.2f} s", "<= 1 s", 1),
    ("start_known_busy", "start to all unwindable, 13 runnable threads", "{:.2f} s", "<= 2 s", 2),
    ("start_cpu_busy", "CPU of the start, 13 runnable threads", "{:.2f} s", "<= 0.3 s", 0.3),
    ("exec_cached", "exec to unwindable in the kernel, cached", "{:.0f} ms", "<= 50 ms", 50),
    ("exec_new", "exec to unwindable in the kernel, new file", "{:.0f} ms", "<= 500 ms", 500),
    ("agent_busy_19", "agent at 19 Hz with push, this machine busy", "{:.2f} % of a core", "<= 0.5 %",
     0.5),
    ("agent_busy_99", "the same at 99 Hz", "{:.2f} % of a core", "", None),
    ("agent_idle", "agent at 19 Hz, this machine idle", "{:.2f} % of a core", "<= 0.1 %", 0.1),
    ("rss", "agent's RSS, mixed load at 99 Hz", "{:.1f} MiB", "<= 48 MiB", 48),
    ("bpf_memory", "its BPF memory", "{:.1f} MiB", "<= 24 MiB", 24),
    ("many_rss", "agent's RSS with 300 more ELF files mapped", "{:.1f} MiB", "<= 64 MiB", 64),
    ("many_bpf", "its BPF memory then", "{:.1f} MiB", "<= 64 MiB", 64),
    ("scrape_ms", "/metrics", "{:.1f} ms", "<= 20 ms", 20),
    ("scrape_cpu", "/metrics, CPU", "{:.1f} ms", "<= 5 ms", 5),
    ("compile", "unwind rows compiled", "{:.1f} M/s a core", ">= 8 M/s", -8),
    ("records", "records through the router's resolver", "{:.1f} M/s a core", ">= 2 M/s", -2),
    ("find", "addresses named from the index, with inlines", "{:.1f} M/s a core", ">= 1 M/s", -1),
    ("cold_time", "naming 100,000 addresses cold, to llvm-symbolizer's time", "{:.2f}", "<= 0.4", 0.4),
    ("cold_memory", "the same, to its memory", "{:.2f}", "<= 0.25", 0.25),
    ("store_cpu", "storing a busy host, 20,000 distinct stacks an hour", "{:.3f} % of a core", "<= 0.1 %", 0.1),
    ("store_day", "the store after a day of it", "{:.0f} MiB", "<= 200 MiB", 200),
    ("day_read", "that day as one profile, CPU", "{:.2f} s", "<= 2 s", 2),
    ("day_memory", "memory for it above rest", "{:.0f} MiB", "<= 32 MiB", 32),
    ("encode", "pprof of 100,000 stacks of 40 frames", "{}", "", None),
)


def met(value, bar):
  """bar < 0: at least -bar, else at most."""
  if value is None or bar is None:
    return ""
  return "yes" if (value >= -bar if bar < 0 else value <= bar) else "**no**"


class Table:
  """The values so far, by row."""

  def __init__(self):
    self.values = {}
    self.minutes = 0.0

  def put(self, row, value, beside=""):
    if row not in {r[0] for r in ROWS}:
      raise KeyError(row)
    self.values[row] = (value, beside)

  def lines(self):
    for row, what, form, bar_text, bar in ROWS:
      value, beside = self.values.get(row, (None, ""))
      shown = "not measured" if value is None else form.format(value)
      yield what, shown, bar_text, met(value, bar), beside

  def markdown(self, title):
    text = [f"{title}:", "", "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    text += ["| " + " | ".join(line) + " |" for line in self.lines()]
    return "\n".join(text)


def put_into(path, table):
  with open(path, encoding="utf-8") as file:
    text = file.read()
  head, _, rest = text.partition(BEGIN)
  _, _, tail = rest.partition(END)
  with open(path, "w", encoding="utf-8") as file:
    file.write(f"{head}{BEGIN}\n{table}\n{END}{tail}")
