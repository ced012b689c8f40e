"""From a float network and some pictures to int8, in the order in which it happens.

    calibrate      pictures → `table`: `observe`, a range per tensor by one of the `calibrators`,
                   `first_table`, then `improve`
    search         moves layers to fp16 until the loss is within a limit
    qdq            network and table → quantized.onnx
    score          what was lost
    diff, causes   where, and by which layers

What they share: `layers` and `plan` (what runs in int8), `channels` (other weights, same network), `scheme`
(from ranges to scales), `side_by_side` (float and quantised, layer by layer).
"""
