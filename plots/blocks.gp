# Names the tests in a table of `smux bench --tsv`; loaded by the other scripts.
#
# Block 0 is the line with the names of the columns; n_tests blocks follow, called names[1], ...
set datafile separator "\t"
stats data using (1) nooutput
n_tests = int(STATS_blocks) - 1
array names[n_tests]
do for [i = 1:n_tests] {
    stats data index i using (names[i] = strcol(1) . " " . strcol(2) . " run " . strcol(3), 1) \
          nooutput
}
