# Throughput over time in both directions, from the table that scripts/demo writes.
#
#   gnuplot -e "data='throughput.tsv'; kind='svg'; output='throughput.svg'" plots/throughput.gp
#
# kind: svg, png, or dumb (a picture of letters on standard output; columns, rows)
load ARG0[1:strstrt(ARG0, "throughput.gp") - 1] . "terminal.gp"

set datafile separator "\t"
set title "Data through one smux connection"
set xlabel "time, s"
set ylabel "MiB/s"
set yrange [0:*]
set key bottom right
mib = 1048576.0

if (kind eq "dumb") {
    # Two lines of letters would hide each other: the sum tells as much.
    set key off
    set title "MiB/s over time, both directions together"
    set xlabel
    set ylabel
    plot data using 1:(($2 + $3) / mib) skip 1 with lines
} else {
    plot data using 1:(($2 + $3) / mib) skip 1 with lines lw 2 title "both directions", \
         data using 1:($2 / mib) skip 1 with lines lw 2 title "up: client to server", \
         data using 1:($3 / mib) skip 1 with lines lw 2 title "down: server to client"
}
