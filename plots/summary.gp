# One figure of a `smux bench --vs tcp,v1,v2 --tsv PREFIX` as bars, with its smallest and largest
# value over the runs.
#
#   gnuplot -e "data='PREFIX.summary.tsv'; mode='bulk'; figure='throughput'; output='bulk.svg'" \
#           plots/summary.gp
load ARG0[1:strstrt(ARG0, "summary.gp") - 1] . "terminal.gp"

if (!exists("mode")) { mode = "bulk" }
if (!exists("figure")) { figure = "throughput" }
set datafile separator "\t"
wanted(m, f) = m eq mode && f eq figure

# The kinds that were measured, in their order; names and units come from the table.
array kinds[3]
n = 0
unit = ""
keep(kind, u) = (n = n + 1, kinds[n] = kind, unit = u, n)
stats data using (wanted(strcol(1), strcol(3)) ? keep(strcol(2), strcol(4)) : NaN) skip 1 nooutput
set xtics ()
do for [i = 1:n] { set xtics add (kinds[i] i) }

set title sprintf("smux bench: %s, %s", mode, figure)
set ylabel unit
set xrange [0.4:n + 0.6]
set yrange [0:*]
set style fill solid 0.6
set key off
place = 0
plot data using (wanted(strcol(1), strcol(3)) ? (place = place + 1, place) : NaN):6:7:8:(0.6) skip 1 \
     with boxerrorbars lw 2
