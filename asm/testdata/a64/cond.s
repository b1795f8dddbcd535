// Conditional select and compare.
csel x0, x1, x2, eq
csel w0, w1, w2, nv
csinc x0, x1, x2, ne
csinc w0, w1, w2, hs
csinv x0, x1, x2, lo
csinv w0, w1, w2, mi
csneg x0, x1, x2, pl
csneg w0, w1, w2, vs
cset x0, vc
cset w0, hi
csetm x0, ls
csetm w0, ge
cinc x0, x1, lt
cinc w0, w1, gt
ccmp x0, x1, #15, le
ccmp w0, w1, #0, al
ccmp x0, #31, #4, ne
ccmp w0, #0, #8, eq
ccmn x0, x1, #1, eq
ccmn w0, w1, #2, cs
ccmn x0, #31, #4, cc
ccmn w0, #1, #8, eq
