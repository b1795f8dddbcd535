// What the disassembler has to know beyond the constructors; no rows.
ldaddb w1, w2, [x3]
ldaddh w1, w2, [x3]
ldadd w1, w2, [x3]
ldadd x1, x2, [x3]
ldaddab w1, w2, [x3]
ldaddah w1, w2, [x3]
ldadda w1, w2, [x3]
ldadda x1, x2, [x3]
ldaddlb w1, w2, [x3]
ldaddlh w1, w2, [x3]
ldaddl w1, w2, [x3]
ldaddl x1, x2, [x3]
ldaddalb w1, w2, [x3]
ldaddalh w1, w2, [x3]
ldaddal w1, w2, [x3]
ldaddal x1, x2, [x3]
staddb w1, [sp]
staddh w1, [sp]
stadd x1, [sp]
staddlb w1, [sp]
staddlh w1, [sp]
staddl x1, [sp]
ldclrb w1, w2, [x3]
ldclrh w1, w2, [x3]
ldclr w1, w2, [x3]
ldclr x1, x2, [x3]
ldclrab w1, w2, [x3]
ldclrah w1, w2, [x3]
ldclra w1, w2, [x3]
ldclra x1, x2, [x3]
ldclrlb w1, w2, [x3]
ldclrlh w1, w2, [x3]
ldclrl w1, w2, [x3]
ldclrl x1, x2, [x3]
ldclralb w1, w2, [x3]
ldclralh w1, w2, [x3]
ldclral w1, w2, [x3]
ldclral x1, x2, [x3]
stclrb w1, [sp]
stclrh w1, [sp]
stclr x1, [sp]
stclrlb w1, [sp]
stclrlh w1, [sp]
stclrl x1, [sp]
ldeorb w1, w2, [x3]
ldeorh w1, w2, [x3]
ldeor w1, w2, [x3]
ldeor x1, x2, [x3]
ldeorab w1, w2, [x3]
ldeorah w1, w2, [x3]
ldeora w1, w2, [x3]
ldeora x1, x2, [x3]
ldeorlb w1, w2, [x3]
ldeorlh w1, w2, [x3]
ldeorl w1, w2, [x3]
ldeorl x1, x2, [x3]
ldeoralb w1, w2, [x3]
ldeoralh w1, w2, [x3]
ldeoral w1, w2, [x3]
ldeoral x1, x2, [x3]
steorb w1, [sp]
steorh w1, [sp]
steor x1, [sp]
steorlb w1, [sp]
steorlh w1, [sp]
steorl x1, [sp]
ldsetb w1, w2, [x3]
ldseth w1, w2, [x3]
ldset w1, w2, [x3]
ldset x1, x2, [x3]
ldsetab w1, w2, [x3]
ldsetah w1, w2, [x3]
ldseta w1, w2, [x3]
ldseta x1, x2, [x3]
ldsetlb w1, w2, [x3]
ldsetlh w1, w2, [x3]
ldsetl w1, w2, [x3]
ldsetl x1, x2, [x3]
ldsetalb w1, w2, [x3]
ldsetalh w1, w2, [x3]
ldsetal w1, w2, [x3]
ldsetal x1, x2, [x3]
stsetb w1, [sp]
stseth w1, [sp]
stset x1, [sp]
stsetlb w1, [sp]
stsetlh w1, [sp]
stsetl x1, [sp]
ldsmaxb w1, w2, [x3]
ldsmaxh w1, w2, [x3]
ldsmax w1, w2, [x3]
ldsmax x1, x2, [x3]
ldsmaxab w1, w2, [x3]
ldsmaxah w1, w2, [x3]
ldsmaxa w1, w2, [x3]
ldsmaxa x1, x2, [x3]
ldsmaxlb w1, w2, [x3]
ldsmaxlh w1, w2, [x3]
ldsmaxl w1, w2, [x3]
ldsmaxl x1, x2, [x3]
ldsmaxalb w1, w2, [x3]
ldsmaxalh w1, w2, [x3]
ldsmaxal w1, w2, [x3]
ldsmaxal x1, x2, [x3]
stsmaxb w1, [sp]
stsmaxh w1, [sp]
stsmax x1, [sp]
stsmaxlb w1, [sp]
stsmaxlh w1, [sp]
stsmaxl x1, [sp]
ldsminb w1, w2, [x3]
ldsminh w1, w2, [x3]
ldsmin w1, w2, [x3]
ldsmin x1, x2, [x3]
ldsminab w1, w2, [x3]
ldsminah w1, w2, [x3]
ldsmina w1, w2, [x3]
ldsmina x1, x2, [x3]
ldsminlb w1, w2, [x3]
ldsminlh w1, w2, [x3]
ldsminl w1, w2, [x3]
ldsminl x1, x2, [x3]
ldsminalb w1, w2, [x3]
ldsminalh w1, w2, [x3]
ldsminal w1, w2, [x3]
ldsminal x1, x2, [x3]
stsminb w1, [sp]
stsminh w1, [sp]
stsmin x1, [sp]
stsminlb w1, [sp]
stsminlh w1, [sp]
stsminl x1, [sp]
ldumaxb w1, w2, [x3]
ldumaxh w1, w2, [x3]
ldumax w1, w2, [x3]
ldumax x1, x2, [x3]
ldumaxab w1, w2, [x3]
ldumaxah w1, w2, [x3]
ldumaxa w1, w2, [x3]
ldumaxa x1, x2, [x3]
ldumaxlb w1, w2, [x3]
ldumaxlh w1, w2, [x3]
ldumaxl w1, w2, [x3]
ldumaxl x1, x2, [x3]
ldumaxalb w1, w2, [x3]
ldumaxalh w1, w2, [x3]
ldumaxal w1, w2, [x3]
ldumaxal x1, x2, [x3]
stumaxb w1, [sp]
stumaxh w1, [sp]
stumax x1, [sp]
stumaxlb w1, [sp]
stumaxlh w1, [sp]
stumaxl x1, [sp]
lduminb w1, w2, [x3]
lduminh w1, w2, [x3]
ldumin w1, w2, [x3]
ldumin x1, x2, [x3]
lduminab w1, w2, [x3]
lduminah w1, w2, [x3]
ldumina w1, w2, [x3]
ldumina x1, x2, [x3]
lduminlb w1, w2, [x3]
lduminlh w1, w2, [x3]
lduminl w1, w2, [x3]
lduminl x1, x2, [x3]
lduminalb w1, w2, [x3]
lduminalh w1, w2, [x3]
lduminal w1, w2, [x3]
lduminal x1, x2, [x3]
stuminb w1, [sp]
stuminh w1, [sp]
stumin x1, [sp]
stuminlb w1, [sp]
stuminlh w1, [sp]
stuminl x1, [sp]
swpb w1, wzr, [x3]
swph w1, wzr, [x3]
swpab w1, wzr, [x3]
swpah w1, wzr, [x3]
swplb w1, wzr, [x3]
swplh w1, wzr, [x3]
swpalb w1, wzr, [x3]
swpalh w1, wzr, [x3]
casb w1, wzr, [x3]
cash w1, wzr, [x3]
casab w1, wzr, [x3]
casah w1, wzr, [x3]
caslb w1, wzr, [x3]
caslh w1, wzr, [x3]
casalb w1, wzr, [x3]
casalh w1, wzr, [x3]
ldaprb w1, [sp]
ldapurb w1, [x2, #-256]
stlurb w1, [x2, #255]
stlurb w1, [x2]
ldaprh w1, [sp]
ldapurh w1, [x2, #-256]
stlurh w1, [x2, #255]
stlurh w1, [x2]
ldapr w1, [sp]
ldapur w1, [x2, #-256]
stlur w1, [x2, #255]
stlur w1, [x2]
ldapr x1, [sp]
ldapur x1, [x2, #-256]
stlur x1, [x2, #255]
stlur x1, [x2]
yield
wfe
wfi
sev
sevl
xpaclri
pacia1716
pacib1716
autia1716
autib1716
esb
csdb
paciaz
paciasp
pacibz
pacibsp
autiaz
autiasp
autibz
autibsp
ssbb
pssbb
sb
isb
retaa
retab
eretaa
eretab
eret
drps
clrex
psb csync
tsb csync
hint #39
clrex #3
isb #3
braa x1, x2
brab x1, sp
blraa x3, x4
blrab x3, sp
braaz x1
brabz x2
blraaz x3
blrabz x30
pacia x1, x2
pacia x1, sp
paciza x30
autia x1, x2
autia x1, sp
autiza x30
pacib x1, x2
pacib x1, sp
pacizb x30
autib x1, x2
autib x1, sp
autizb x30
pacda x1, x2
pacda x1, sp
pacdza x30
autda x1, x2
autda x1, sp
autdza x30
pacdb x1, x2
pacdb x1, sp
pacdzb x30
autdb x1, x2
autdb x1, sp
autdzb x30
xpaci x1
xpacd x30
hvc #0xffff
smc #0
udf #0
udf #65535
dcps1
brk #0x800
dc ivac, x7
dc isw, x7
dc csw, x7
dc cisw, x7
dc zva, x7
dc cvac, x7
dc cvau, x7
dc cvap, x7
dc cvadp, x7
dc civac, x7
ic ivau, x1
ic iallu
ic ialluis
tlbi vmalle1
tlbi vmalle1is
tlbi vaae1is, x3
at s1e1r, x0
msr daifset, #2
msr daifclr, #15
msr spsel, #1
msr pan, #1
msr s3_0_c15_c2_7, x1
mrs x1, s3_7_c15_c15_7
sys #0, c7, c8, #0, x1
ldr w1, near
ldrsw x1, near
ldr d1, near
ldr q31, back
ldr s0, near
prfm pldl1keep, near
prfm pstl3strm, near
prfm #15, near
prfm pldl1keep, [x1]
prfm pldl1strm, [x1, #32760]
bic x0, x1, x2, ror #63
ubfiz x0, x1, #3, #4
sbfiz w0, w1, #3, #4
cneg x0, x1, ne
cinv w0, w1, lt
ngc x0, x1
ngcs w0, w1
mneg x0, x1, x2
smaddl x0, w1, w2, x3
umsubl x0, w1, w2, x3
smnegl x0, w1, w2
ldnp x0, x1, [sp, #16]
stnp w0, w1, [x2]
ldtr x0, [x1, #8]
sttrb w0, [x1, #-8]
ldr q0, [x1, #16]
str d8, [sp, #-16]!
ldp q0, q1, [sp, #32]
stp d8, d9, [sp], #16
fmov x0, d1
movi v0.2d, #0000000000000000
negs x0, x1
cmn x0, w1, sxtb #2
cmp sp, w1, uxth
ldrb w0, [x1, x2, lsl #0]
nop
mov x0, sp
mov w30, wzr
mov w1, #-2
mov x1, #-65536
mov w1, #0xf0f0f0f0
hint #6
csel x0, x1, x2, al
csinc x0, x1, x2, nv
csneg w0, w1, w2, nv
csinv w0, wzr, wzr, nv
ccmp x0, x1, #3, nv
ccmn w0, #3, #4, nv
msr uao, #1
msr dit, #0
msr ssbs, #1
at s1e0w, x3
