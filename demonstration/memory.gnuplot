# SPDX-License-Identifier: Apache-2.0
# Memory over time of both sides, one above the other on the same axes. Needs: dir (with squeezy.tsv, virtio-mem.tsv), kind (png or svg).
if (kind eq "png") {
	set terminal pngcairo size 1100,760 font "DejaVu Sans,11" background rgb "white"
} else {
	set terminal svg size 1100,760 font "DejaVu Sans,13" background rgb "white"
}
set output dir."/memory.".kind
ours = dir."/squeezy.tsv"
stock = dir."/virtio-mem.tsv"
stats ours using 1 nooutput
t1 = STATS_max
stats stock using 1 nooutput
t2 = STATS_max
stats ours using 2 nooutput
m1 = STATS_max
stats stock using 2 nooutput
m2 = STATS_max
set xrange [0:(t1 > t2 ? t1 : t2)]
set yrange [0:(m1 > m2 ? m1 : m2) * 1.08]
set ylabel "MiB"
set grid back linecolor rgb "#dddddd"
set border 3
set tics nomirror out
set key outside right center spacing 1.4 samplen 2
set lmargin 9
set tmargin 3
set rmargin 24
set multiplot layout 2,1
set label 1 "squeezy: partitions" at graph 0, graph 1.07 left font ",13"
unset xlabel
plot ours using 1:3 with filledcurves y1=0 fillcolor rgb "#cfe3f5" title "used in the guest", \
	ours using 1:2 with steps linewidth 2 linecolor rgb "#d9822b" title "plugged", \
	ours using 1:4 with lines linewidth 2 linecolor rgb "#1f5fa8" title "resident on host"
set label 1 "stock virtio-mem on the same kernel (its device also holds the shared part, which stays plugged)" at graph 0, graph 1.07 left font ",13"
set xlabel "seconds since the first sample"
plot stock using 1:3 with filledcurves y1=0 fillcolor rgb "#cfe3f5" title "used in the guest", \
	stock using 1:2 with steps linewidth 2 linecolor rgb "#d9822b" title "plugged", \
	stock using 1:4 with lines linewidth 2 linecolor rgb "#1f5fa8" title "resident on host"
unset multiplot
