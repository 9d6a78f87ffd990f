# Definitions for the programs of all scenarios. The input is a run.json (docs/RESULTS.md) where it
# says "run", else a figure. Whatever cannot be said ends with error("why"): the claim is then "not
# measured", with these words.

# ---- contestants of a run ----

# Under a workload; and the first of that name.
def of($name; $workload):
  first(.contestants[] | select(.name == $name and (.workload // "") == $workload))
  // error("the run has no \($name) under \"\($workload)\"");
def of($name):
  first(.contestants[] | select(.name == $name)) // error("the run has no \($name)");

# A contestant whose rate or CPU time is to be called the server's: not one whose clients were the
# bottleneck.
def servers:
  if .client_bound then
    error("the clients were the bottleneck of \(.name): the figure would not be the server's")
  else . end;

# ---- figures of a contestant ----

# Nanoseconds, of the latency from the time at which a message was due.
def latency($percent):
  . as $contestant
  | (.latency // {} | .corrected // .uncorrected // error("\($contestant.name) has no latency"))
  | first(.percentiles[] | select(.[0] == $percent) | .[1])
    // error("\($contestant.name) has no p\($percent)");

def sum_of(f): [.turns[] | f] | add // 0;

# ---- numbers as people read them ----

# Three digits that count: 0.0123, 1.23, 123, 12300.
def digits:
  if . == 0 then 0 else
    . as $x | (fabs | log10 | floor) as $e
    | if $e >= 2 then $x | round
      else pow(10; 2 - $e) as $unit | ($x * $unit | round) / $unit end
  end;

# 10,000
def grouped:
  round | tostring
  | [while(. != ""; if length > 3 then .[:-3] else "" end) | if length > 3 then .[-3:] else . end]
  | reverse | join(",");

# Of nanoseconds: 850 ns, 12.3 µs, 4.56 ms, 1.2 s
def time:
  if . < 1e3 then "\(digits) ns"
  elif . < 1e6 then "\(. / 1e3 | digits) µs"
  elif . < 1e9 then "\(. / 1e6 | digits) ms"
  else "\(. / 1e9 | digits) s" end;

# 95 bytes, 4.56 KB, 1.23 MB: thousands, as the claims count
def bytes:
  if . < 1e3 then "\(digits) bytes"
  elif . < 1e6 then "\(. / 1e3 | digits) KB"
  elif . < 1e9 then "\(. / 1e6 | digits) MB"
  else "\(. / 1e9 | digits) GB" end;

# Of bits per second
def bits:
  if . < 1e6 then "\(. / 1e3 | digits) kbit/s"
  elif . < 1e9 then "\(. / 1e6 | digits) Mbit/s"
  else "\(. / 1e9 | digits) Gbit/s" end;

# Of a share: 98.2 %
def percent: "\(. * 1000 | round / 10) %";

def between($low; $high): . >= $low and . <= $high;
