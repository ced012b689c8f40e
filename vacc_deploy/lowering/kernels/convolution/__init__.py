"""Convolutions. A fully connected layer is one of 1×1 over a picture of one pixel.

`integer` sums uint8 codes times int8 weights, exactly; `floating` sums floats. Both have an ordinary
convolution (``qconv2d``, ``hconv2d``), which chooses among the algorithms of its folder, and a transposed
one; ``winograd`` is in both the same transform in their own arithmetic. What they share lies here: `spec`;
`section` and `direct`, the definition in register blocks for any kind of number (`products`);
`transposition`, a transposed convolution as ordinary ones; `four_phases` and `four_results`, convolutions
in steps of 2 as Winograd sees them.
"""
