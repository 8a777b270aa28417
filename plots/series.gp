# Names the blocks of a table of bench/figures; loaded by its scripts.
#
# Each block has two columns; the first line names them, and the second name is that of the
# series. n_series blocks, called series[1], ...
set datafile separator "\t"
stats data using (1) skip 1 nooutput
n_series = int(STATS_blocks)
array series[n_series]
do for [i = 1:n_series] {
    stats data index (i - 1) every ::0::0 using (series[i] = strcol(2), 1) nooutput
}
