"""Lines as frameworks print them, and the records that are in them."""

# ruff: noqa: E501 - they are long

from dataclasses import dataclass
from math import inf, nan

from tests.unit.formats.text.reading import Row


@dataclass(frozen=True)
class Sample:
    """Some lines of one family, the records in them, and what their steps count."""

    family: str
    text: str
    rows: list[Row]
    units: frozenset[str] = frozenset({"step"})


def at(step: int, **values: float) -> list[Row]:
    """Return records of one step; two underscores in a name stand for a slash."""
    return [(name.replace("__", "/"), step, value) for name, value in values.items()]


def keyed(step: int, values: dict[str, float]) -> list[Row]:
    """Return records of one step whose names are no identifiers."""
    return [(name, step, value) for name, value in values.items()]


RECORDS = frozenset({"record"})
EPOCHS = frozenset({"epoch"})
BAR = "100%|█████…█████| 760/760 [26:32<00:00,  2.10s/it]\n"

SAMPLES: dict[str, Sample] = {
    "transformers 4": Sample(
        "huggingface",
        BAR
        + "{'loss': 0.6914, 'grad_norm': 0.26893723011016846, 'learning_rate': 9.605263157894737e-07, 'epoch': 0.02}\n"
        "{'loss': 0.6826, 'grad_norm': 0.3554060459136963, 'learning_rate': 9.210526315789473e-07, 'epoch': 0.03}\n"
        "{'loss': 0.6673, 'grad_norm': 0.6513511538505554, 'learning_rate': 8.815789473684209e-07, 'epoch': 0.05}\n"
        "{'loss': 9.8813, 'grad_norm': inf, 'learning_rate': 2.0e-05, 'epoch': 0.26}\n"
        "{'loss': nan, 'grad_norm': nan, 'learning_rate': 2.0e-05, 'epoch': 0.27}\n"
        "{'eval_loss': 0.3951, 'eval_runtime': 3.2785, 'eval_samples_per_second': 152.511, 'eval_steps_per_second': 9.7,"
        " 'epoch': 1.0}\n"
        "{'train_runtime': 1594.9832, 'train_samples_per_second': 243.965, 'train_steps_per_second': 0.476, "
        "'train_loss': 0.26900792780675387, 'epoch': 0.39}\n",
        [
            *at(1, loss=0.6914, grad_norm=0.26893723011016846, learning_rate=9.605263157894737e-07),
            *at(2, loss=0.6826, grad_norm=0.3554060459136963, learning_rate=9.210526315789473e-07),
            *at(3, loss=0.6673, grad_norm=0.6513511538505554, learning_rate=8.815789473684209e-07),
            *at(4, loss=9.8813, grad_norm=inf, learning_rate=2.0e-05),
            *at(5, loss=nan, grad_norm=nan, learning_rate=2.0e-05),
            *at(5, eval_loss=0.3951),
        ],
        RECORDS,
    ),
    "transformers 5": Sample(
        "huggingface",
        "{'loss': '0.7157', 'grad_norm': '12.79', 'learning_rate': '0', 'ppl': '2.046', 'memory/max_active (GiB)': '2.98',"
        " 'memory/max_allocated (GiB)': '2.98', 'memory/device_reserved (GiB)': '4.12', 'tokens/trainable': 93,"
        " 'tokens/total': 512, 'epoch': '0.1333'}\n"
        "{'train_runtime': '158.8', 'train_samples_per_second': '26.2', 'train_loss': '1.567', 'epoch': '1'}\n",
        at(1, loss=0.7157, grad_norm=12.79, learning_rate=0.0, ppl=2.046),
        RECORDS,
    ),
    "LLaMA-Factory": Sample(
        "huggingface",
        "{'loss': 0.1234, 'learning_rate': 1.0000e-05, 'epoch': 0.12, 'throughput': 123.45}\n",
        at(1, loss=0.1234, learning_rate=1e-05),
        RECORDS,
    ),
    "nanoGPT": Sample(
        "nanogpt",
        "step 0: train loss 4.2367, val loss 4.2475\n"
        "iter 0: loss 4.2709, time 10268.08ms, mfu -100.00%\n"
        "iter 5: loss 4.2082, time 1431.27ms, mfu 0.01%\n"
        "step 400: train loss 3.3296, val loss 3.3687\n"
        "iter 425: loss nan, time 1440.31ms, mfu 0.01%\n",
        [
            *at(0, train__loss=4.2367, val__loss=4.2475),
            *at(0, loss=4.2709),
            *at(5, loss=4.2082),
            *at(400, train__loss=3.3296, val__loss=3.3687),
            *at(425, loss=nan),
        ],
    ),
    "llm.c": Sample(
        "llm.c",
        "s:0 tel:11.0092\ns:0 trl:11.0091 lr:0.000001 norm:15.37\ns:1 trl:10.9598 lr:0.000002 norm:15.24\n"
        "s:19558 trl:3.3148 lr:0.000000 norm:0.22\ns:19560 tel:3.2722\ns:19560 eval:0.3012\n",
        [
            *at(0, tel=11.0092),
            *at(0, trl=11.0091, lr=0.000001, norm=15.37),
            *at(1, trl=10.9598, lr=0.000002, norm=15.24),
            *at(19558, trl=3.3148, lr=0.0, norm=0.22),
            *at(19560, tel=3.2722),
            *at(19560, eval=0.3012),
        ],
    ),
    "llm.c in Python": Sample(
        "llm.c", "s:0 tel:10.968871\ns:0 trl:10.965596\n", [*at(0, tel=10.968871), *at(0, trl=10.965596)]
    ),
    "modded-nanogpt": Sample(
        "modded-nanogpt",
        "step:0/1770 val_loss:10.8258 train_time:0ms step_avg:nanms\n"
        "step:1/1770 train_time:24286ms step_avg:nanms\n"
        "step:6199/6200 train_loss:3.2344 train_time:1338853ms step_avg:216.33ms\n"
        "step:6200/6200 val_loss:3.2785 train_time:1339067ms step_avg:216.33ms\n",
        [*at(0, val_loss=10.8258), *at(6199, train_loss=3.2344), *at(6200, val_loss=3.2785)],
    ),
    "fairseq json": Sample(
        "fairseq",
        '2021-03-08 12:31:36 | INFO | train_inner | {"epoch": 1, "update": 0.0, "loss": "16.475", "ppl": "91120.8", "wps":'
        ' "0", "ups": "0", "wpb": "16384", "bsz": "8", "num_updates": "1", "lr": "2e-05", "gnorm": "20.751",'
        ' "loss_scale": "4", "train_wall": "99", "gb_free": "9.3", "wall": "105"}\n'
        "2021-03-08 12:33:12 | INFO | fairseq.trainer | NOTE: gradient overflow detected, ignoring gradient, setting loss"
        " scale to: 2.0\n"
        '2021-03-08 12:40:00 | INFO | valid | {"epoch": 1, "valid_loss": "4.5", "valid_ppl": "22.6", "valid_wps": "9",'
        ' "valid_num_updates": "10", "valid_best_loss": "4.5"}\n',
        [
            *at(1, loss=16.475, ppl=91120.8, lr=2e-05, gnorm=20.751, loss_scale=4.0),
            *at(10, valid_loss=4.5, valid_ppl=22.6, valid_best_loss=4.5),
        ],
    ),
    "fairseq simple": Sample(
        "fairseq",
        "2025-10-15 11:33:32 | INFO | train_inner | epoch 001:    100 / 487 loss=4.655, nll_loss=4.4, ppl=21.1, wps=3e4,"
        " num_updates=100, lr=1.25e-05, gnorm=2.5, train_wall=5, wall=12\n"
        "2025-10-15 11:33:44 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 2.001 | nll_loss 1.9 | ppl 4 | wps"
        " 8e4 | num_updates 487 | best_loss 2.001\n",
        [
            *at(100, loss=4.655, nll_loss=4.4, ppl=21.1, lr=1.25e-05, gnorm=2.5),
            *at(487, valid_loss=2.001, valid_nll_loss=1.9, valid_ppl=4.0, valid_best_loss=2.001),
        ],
    ),
    "Megatron-LM": Sample(
        "megatron",
        " iteration    29040/  311541 | consumed samples:     10718544 | elapsed time per iteration (ms): 22332.6 |"
        " learning rate: 9.849E-05 | global batch size:  1024 | lm loss: 2.768131E+00 | loss scale: 65536.0 |"
        " grad norm: 0.000 | num zeros: 0.0 | number of skipped iterations:   0 | number of nan iterations:   0 |\n"
        "[default7]: iteration    31214/  115311 | consumed samples:     47768496 | consumed tokens:  97829879808 |"
        " elapsed time per iteration (s): 106.46 | learning rate: 5.279E-05 | global batch size:  2048 | lm loss:"
        " 2.198845E+00 | grad norm: 0.242 | num zeros: 0.0 | number of skipped iterations:   0 | number of nan"
        " iterations:   0 | samples per second: 19.238 | TFLOPs: 147.29 |\n"
        " iteration    31220/  115311 | learning rate: 5.279E-05 | loss scale: 4096.0 | number of skipped iterations: 1 |\n"
        "[default7]:valid loss at iteration 45000 | lm loss value: 2.327091E+00 | lm loss PPL: 1.024808E+01 |\n"
        " validation loss at iteration 57000 | lm loss value: 7.174200E+00 | lm loss PPL: 1.305315E+03 |\n",
        [
            *keyed(29040, {"learning rate": 9.849e-05, "lm loss": 2.768131, "loss scale": 65536.0, "grad norm": 0.0}),
            *keyed(31214, {"learning rate": 5.279e-05, "lm loss": 2.198845, "grad norm": 0.242}),
            *keyed(31220, {"learning rate": 5.279e-05, "loss scale": 4096.0}),
            *keyed(45000, {"validation/lm loss value": 2.327091, "validation/lm loss PPL": 10.24808}),
            *keyed(57000, {"validation/lm loss value": 7.1742, "validation/lm loss PPL": 1305.315}),
        ],
    ),
    "DeepSpeed": Sample(
        "deepspeed",
        "***** Evaluating perplexity, Epoch 0/16 *****\n"
        "ppl: 4998.29638671875\n"
        "[2023-04-18 01:47:28,945] [INFO] [logging.py:96:log_dist] [Rank 0] step=50, skipped=6,"
        " lr=[9.649149050033092e-06, 9.649149050033092e-06], mom=[(0.9, 0.95), (0.9, 0.95)]\n"
        "[2023-04-18 01:47:28,973] [INFO] [timer.py:199:stop] epoch=0/micro_step=50/global_step=50,"
        " RunningAvgSamplesPerSec=172.2269859085574, CurrSamplesPerSec=172.28478301819888, MemAllocated=3.96GB\n"
        "[2023-04-18 08:48:05,282] [INFO] [loss_scaler.py:181:update_scale] [deepspeed] OVERFLOW! Rank 0 Skipping step."
        " Attempted loss scale: 65536, reducing to 32768\n"
        "ppl: 3.5\n"
        "chosen_last_scores (higher is better) : 2.8115079402923584, acc (higher is better) : 0.4924241304397583\n"
        "Epoch 1/1 with loss 0.5754789632299672\n",
        [
            ("eval/ppl", 0, 4998.29638671875),
            ("lr", 50, 9.649149050033092e-06),
            ("lr/1", 50, 9.649149050033092e-06),
            ("skipped", 50, 6.0),
            ("eval/ppl", 50, 3.5),
            ("eval/chosen_last_scores", 50, 2.8115079402923584),
            ("eval/acc", 50, 0.4924241304397583),
            ("train/epoch_loss", 50, 0.5754789632299672),
        ],
    ),
    "DeepSpeed-Chat PPO": Sample(
        "deepspeed",
        "epoch: 0|step: 1|ppo_ep: 1|act_loss: 0.296630859375|cri_loss: 0.1690673828125|unsuper_loss: 0.0\n",
        at(1, act_loss=0.296630859375, cri_loss=0.1690673828125, unsuper_loss=0.0),
    ),
    "torchtitan": Sample(
        "torchtitan",
        "[rank0]:[titan] 2025-10-30 14:32:58,897 - root - INFO - step:  1  loss:  8.1661  grad_norm:  3.6855  memory: "
        " 2.47GiB(3.12%)  tps: 3,502  tflops: 1.90  mfu: 0.19%\n"
        "\x1b[32m[titan] 2026-02-11 00:54:17,768 - root - INFO - \x1b[31mstep:  2  \x1b[32mloss: 12.85991  \x1b[33mgrad_norm:"
        "  2.1345  \x1b[34mmemory: 19.45GiB(30.39%)  \x1b[36mtps: 5,941  \x1b[38;2;1;2;3mtflops: 56.37  mfu: 18.91%\x1b[0m\n"
        "[rank0]:2025-04-01 00:25:47,084 - root - INFO - step: 640/644 = 99.3789%  loss:  6.2116  memory: 87.04GiB(93.48%)"
        "  tps: 52,142  mfu: 3.09%\n"
        "[rank0]:[titan] 2025-10-30 15:00:00,000 - root - INFO - validate step: 644  loss:  6.5000  memory:  2.47GiB(3.12%)"
        "  tps: 3,502\n",
        [
            *at(1, loss=8.1661, grad_norm=3.6855),
            *at(2, loss=12.85991, grad_norm=2.1345),
            *at(640, loss=6.2116),
            *at(644, val__loss=6.5),
        ],
    ),
    "Composer": Sample(
        "composer",
        "[batch=1/100]:\n         Train LanguageCrossEntropy: 10.9736\n         Train Perplexity: 58312.0586\n"
        "         Train loss/train/total: 10.9736\n         Train time/batch: 1\n"
        "[epoch=2][batch=3/5]:\n         Train loss/train/total: 8.4213\n"
        "         Train metrics/train/LanguageCrossEntropy: 8.4620\n\t Train lr-DecoupledAdamW/group0: 0.0000\n"
        "[batch=3160/30518]:\n Train loss/train/total: nan\n"
        "0:       Train loss/train/total: 12.0000\n         Eval metrics/eval/LanguageCrossEntropy: 3.5\n",
        [
            *keyed(
                1, {"train/LanguageCrossEntropy": 10.9736, "train/Perplexity": 58312.0586, "loss/train/total": 10.9736}
            ),
            *keyed(
                8,
                {
                    "loss/train/total": 8.4213,
                    "metrics/train/LanguageCrossEntropy": 8.462,
                    "lr-DecoupledAdamW/group0": 0.0,
                },
            ),
            *keyed(3160, {"loss/train/total": nan}),
            *keyed(3160, {"loss/train/total": 12.0, "metrics/eval/LanguageCrossEntropy": 3.5}),
        ],
    ),
    "MMEngine": Sample(
        "mmengine",
        "07/03 13:04:17 - mmengine - INFO - Epoch(train)  [1][ 10/196]  lr: 3.3333e-04  eta: 0:13:14  time: 0.4073 "
        " data_time: 0.0335  memory: 970  loss: 6.1887\n"
        "2023/11/29 02:19:30 - mmengine - INFO - Epoch(train)  [2][ 50/663]  lr: 1.9820e-03  eta: 4:27:58  time: 1.0137 "
        " data_time: 0.0554  memory: 20138  loss: 0.7690  loss_rpn_cls: 0.3936  acc: 98.5840\n"
        "07/03 13:08:00 - mmengine - INFO - Epoch(val) [2][40/40]    accuracy/top1: 23.9800  data_time: 0.0100  time: 0.2\n"
        "07/03 13:08:00 - mmengine - INFO - Iter(train) [  800/160000]  lr: 1.0e-02  loss: 0.5000  decode.loss_ce: 0.4\n",
        [
            *at(10, lr=3.3333e-04, loss=6.1887),
            *at(713, lr=1.9820e-03, loss=0.769, loss_rpn_cls=0.3936, acc=98.584),
            *at(713, val__accuracy__top1=23.98),
            *keyed(800, {"lr": 0.01, "loss": 0.5, "decode.loss_ce": 0.4}),
        ],
    ),
    "mmdet 2": Sample(
        "mmengine",
        "2021-01-25 19:27:09,358 - mmdet - INFO - Epoch [1][300/5455]\tlr: 9.150e-04, eta: 6:27:25, time: 0.312, data_time:"
        " 0.003, memory: 3672, loss_rpn_cls: 0.6478, s0.loss_cls: nan, loss: nan, grad_norm: nan\n"
        "2022-06-03 06:33:38,427 - mmdet - INFO - Epoch [2][50/5455]     lr: 1.000e-02, eta: 2:00:00, time: 0.240,"
        " memory: 2404, acc: 95.1289, loss: 0.6188\n"
        "2022-06-03 06:40:00,000 - mmdet - INFO - Epoch(val) [2][625]\tbbox_mAP: 0.3740, bbox_mAP_50: 0.5810\n",
        [
            *keyed(300, {"lr": 9.15e-04, "loss_rpn_cls": 0.6478, "s0.loss_cls": nan, "loss": nan, "grad_norm": nan}),
            *at(5505, lr=0.01, acc=95.1289, loss=0.6188),
            *at(5505, val__bbox_mAP=0.374, val__bbox_mAP_50=0.581),
        ],
    ),
    "Keras 2": Sample(
        "keras",
        "Epoch 1/2\n119/460 [===========================>..] - ETA: 6s - loss: 0.4237 - acc: 0.8188\r"
        "460/460 [==============================] - ETA: 0s - loss: 0.1501 - accuracy: 0.9486\b\b\b\b\r"
        "460/460 [==============================] - 3s 6ms/step - loss: 0.1501 - accuracy: 0.9486 - val_loss: 0.6245\n"
        "Epoch 2/2\nEpoch 00002: LearningRateScheduler setting learning rate to 0.005.\n"
        "60000/60000 [==============================] - 207s 3ms/sample - loss: 0.2202 - acc: 0.9344\n",
        [
            *at(1, loss=0.1501, accuracy=0.9486),
            *at(1, val_loss=0.6245),
            *at(2, learning_rate=0.005),
            *at(2, loss=0.2202, acc=0.9344),
        ],
        EPOCHS,
    ),
    "Keras 2 without headers": Sample(
        "keras",
        "2/2 [==============================] - 3s - loss: 1118529.2500\n"
        "390/390 [==============================] - 35s 90ms/step - loss: 1.3859 - val_loss: 1.8355\n",
        [*at(1, loss=1118529.25), *at(2, loss=1.3859, val_loss=1.8355)],
        RECORDS,
    ),
    "Keras 3": Sample(
        "keras",
        "Epoch 2/3\n\r\x1b[1m1/6\x1b[0m \x1b[32m━━━\x1b[0m\x1b[37m━━━━━━━━━━━━━━━━━\x1b[0m \x1b[1m0s\x1b[0m 22ms/step -"
        " accuracy: 0.4844 - loss: 0.7859\nEpoch 2: ReduceLROnPlateau reducing learning rate to 8.100000559352338e-05.\n"
        + "\b"
        * 72
        + "\r\x1b[1m6/6\x1b[0m \x1b[32m━━━━━━━━━━━━━━━━━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m0s\x1b[0m 22ms/step - accuracy:"
        " 0.4714 - loss: 0.7780 - val_accuracy: 0.5000 - val_loss: 0.7389 - learning_rate: 8.1000e-05\n",
        [
            *at(2, learning_rate=8.100000559352338e-05),
            *at(2, accuracy=0.4714, loss=0.778, val_accuracy=0.5, val_loss=0.7389),
        ],
        EPOCHS,
    ),
    "Keras, verbose=2": Sample(
        "keras",
        "Epoch 1/5\n6/6 - 1s - 210ms/step - accuracy: 0.4661 - loss: nan - val_loss: 0.7466\n",
        at(1, accuracy=0.4661, loss=nan, val_loss=0.7466),
        EPOCHS,
    ),
    "XGBoost": Sample(
        "boosting",
        "[0]\ttrain-rmse:1039.13872\tval-rmse:1033.90243\n[50]\ttrain-rmse:454.08052+0.5\tval-rmse:445.56665+0.5\n",
        [
            *keyed(0, {"train-rmse": 1039.13872, "val-rmse": 1033.90243}),
            *keyed(50, {"train-rmse": 454.08052, "val-rmse": 445.56665}),
        ],
    ),
    "LightGBM": Sample(
        "boosting",
        "Training until validation scores don't improve for 800 rounds\n"
        "[500]\ttraining's l2: 0.499759\tvalid_1's l2: 0.532511\n"
        "[600]    train's auc: 0.99   valid's auc: 0.98\n"
        "Early stopping, best iteration is:\n[43]    train's auc: 0.999695   valid's auc: 0.981818\n",
        [
            *keyed(500, {"training's l2": 0.499759, "valid_1's l2": 0.532511}),
            *keyed(600, {"train's auc": 0.99, "valid's auc": 0.98}),
        ],
    ),
    "CatBoost": Sample(
        "boosting",
        "0:\tlearn: 0.6931\ttest: 0.6920\tbest: 0.6920 (0)\ttotal: 5.1ms\tremaining: 5.1s\n",
        at(0, learn=0.6931, test=0.692),
    ),
    "MaxText": Sample(
        "maxtext",
        "completed step: 1, seconds: 0.287, TFLOP/s/device: 110.951, Tokens/s/device: 7131.788, total_weights: 7517,"
        " loss: 12.021\n"
        "completed step: 3, seconds: 49.962, TFLOP/s/device: 56.062, main_model_loss: 11.550\n"
        "I0317 10:00:13.658792 125344476638336 metric_logger.py:181] completed step: 4, seconds: 0.277, TFLOP/s/device:"
        " 370.707, Tokens/s/device: 14774.896, total_weights: 31850, loss: 12.939\n"
        "eval metrics after step: 5, loss=3.100, total_weights=5120\n",
        [*at(1, loss=12.021), *at(3, main_model_loss=11.55), *at(4, loss=12.939), *at(5, eval__loss=3.1)],
    ),
    "torch7": Sample(
        "torch7",
        'json_stats: {"momentum":0.9,"train_time":289.15601992607,"learningRateDecayRatio":0.2,"max_epoch":200,"epoch":200,'
        '"lr":0.0008,"test_acc":94.89,"learningRate":0.0008,"epoch_step":[60,120,160],"loss":0.0016485370112469}\t\n',
        at(200, lr=0.0008, test_acc=94.89, loss=0.0016485370112469),
        EPOCHS,
    ),
    "stable-baselines3": Sample(
        "sb3",
        "-----------------------------------------\n"
        "| eval/                   |             |\n|    mean_reward          | 192         |\n"
        "| time/                   |             |\n|    fps                  | 1200        |\n"
        "|    total_timesteps      | 32000       |\n"
        "| train/                  |             |\n|    approx_kl            | 0.012960765 |\n"
        "|    learning_rate        | 0.0003      |\n|    loss                 | 24.3        |\n"
        "-----------------------------------------\n",
        keyed(
            32000,
            {
                "eval/mean_reward": 192.0,
                "train/approx_kl": 0.012960765,
                "train/learning_rate": 0.0003,
                "train/loss": 24.3,
            },
        ),
    ),
    "Lightning": Sample(
        "tqdm",
        "Epoch 0:   6%|█▍                | 86/1563 [00:06<01:44, 14.19it/s, v_num=0, train_loss=1.800, train_acc=0.281]E\r"
        "Epoch 0: 100%|█| 1563/1563 [01:57<00:00, 13.25it/s, v_num=0, train_loss=1.590, train_acc=0.688, val_loss=1.420,"
        " val_accMetric val_accuracy improved. New best score: 0.494\n"
        "Epoch 1:   6%|█▍                | 86/1563 [00:06<01:44, 14.19it/s, v_num=0, train_loss=1.500]\n",
        [
            *at(86, train_loss=1.8, train_acc=0.281),
            *at(1563, train_loss=1.59, train_acc=0.688, val_loss=1.42),
            *at(1649, train_loss=1.5),
        ],
    ),
    "Lightning without a length": Sample(
        "tqdm",
        "Epoch 0: |          | 1/? [00:20<00:00,  0.05it/s, v_num=0, train_loss=14.60]\r"
        "Epoch 0: |          | 2/? [00:36<00:00,  0.06it/s, v_num=0, train_loss=13.90]\r"
        "Epoch 1: |          | 1/? [00:36<00:00,  0.06it/s, v_num=0, train_loss=13.80]\r",
        [*at(1, train_loss=14.6), *at(2, train_loss=13.9), *at(3, train_loss=13.8)],
    ),
    "diffusers": Sample(
        "tqdm",
        "Steps:   0%|          | 0/101 [00:03<?, ?it/s, lr=1e-5, step_loss=0.0799]\r"
        "Steps:   0%|          | 0/101 [00:03<?, ?it/s, lr=1e-5, step_loss=0.0223]\r"
        "Steps:   1%|          | 1/101 [00:04<08:00,  4.80s/it, lr=1e-5, st…\r"
        "Steps:   3% 3/101 [05:03<44:00,  2.94s/it, lr=0.0001, step_loss=0.227]\r",
        [*at(0, lr=1e-5, step_loss=0.0799), *at(1, lr=1e-5), *at(3, lr=0.0001, step_loss=0.227)],
    ),
    "SPAM": Sample(
        "plain",
        "lr 0.001992\nloss at 2004 1.203125\n"
        "Update steps:   5%|█          | 1000/20000 [05:49<2:04:24,  2.55it/s]2024-12-25 06:53:11.184 | INFO     | __main__:"
        "main:564 - Performing evaluation at step 1000\n"
        "2024-12-25 23:22:41.632 | INFO     | __main__:main:576 - Eval loss at step 1000: 3.386845588684082,tokens_seen: 20\n",
        [*at(2004, loss=1.203125), *at(2004, eval__loss=3.386845588684082)],
    ),
    "GPT-NeoX": Sample(
        "megatron",
        " samples/sec: 33.9 | iteration      100/  320000 | elapsed time per iteration (ms): 943.1 | learning rate:"
        " 6.250E-06 | approx flops per GPU: 33.4TFLOPS | lm_loss: 9.140E+00 | loss scale: 4096.0 | number of skipped"
        " iterations:   2 | number of nan iterations:   0 |\n",
        keyed(100, {"learning rate": 6.25e-06, "lm_loss": 9.14, "loss scale": 4096.0}),
    ),
    "JSON among other lines": Sample(
        "json",
        'starting\n2025-01-01 12:00:00,123 - INFO - {"step":10,"loss":0.5,"lr":1e-3,"time":3.5}\n'
        '{"global_step": 20, "train/loss": NaN, "note": "x"}\n',
        [*at(10, loss=0.5, lr=0.001), *at(20, train__loss=nan)],
    ),
    "TensorFlow's estimators": Sample(
        "plain",
        "INFO:tensorflow:loss = 0.31, step = 100 (2.5 sec)\n"
        "INFO:tensorflow:Saving dict for global step 100: accuracy = 0.9, global_step = 100, loss = 0.3\n",
        [*at(100, loss=0.31), *at(100, val__accuracy=0.9, val__loss=0.3)],
    ),
    "Detectron2": Sample(
        "plain",
        "[01/01 00:00:00 d2.utils.events]:  eta: 0:00:13  iter: 19  total_loss: 4.5  loss_cls: 1.4  time: 0.3  data_time:"
        " 0.01  lr: 1.9981e-05  max_mem: 2411M\n",
        at(19, total_loss=4.5, loss_cls=1.4, lr=1.9981e-05),
    ),
    "PaddlePaddle": Sample(
        "plain",
        "[2021/01/01 00:00:00] ppocr INFO: epoch: [1/1200], iter: 10, lr: 0.001, loss: 4.5, learning rate: 0.001\n",
        keyed(10, {"lr": 0.001, "loss": 4.5, "learning rate": 0.001}),
    ),
    "a dictionary behind a step": Sample("plain", "step 700: {'loss': 0.5, 'lr': 0.01}\n", at(700, loss=0.5, lr=0.01)),
    "key=value": Sample("plain", "step=10 loss=0.5 lr=1e-3\n", at(10, loss=0.5, lr=0.001)),
    "key: value": Sample(
        "plain",
        "global_step: 100, loss: nan, learning_rate: 0.001\n2025-01-01 00:00:00,123 - train - INFO - step 105 loss 0.5\n",
        [*at(100, loss=nan, learning_rate=0.001), *at(105, loss=0.5)],
    ),
    "build-nanogpt": Sample(
        "plain",
        "step     0 | loss: 10.955029 | lr 4.2857e-07 | norm: 15.3366 | dt: 27390.00ms | tok/sec: 19141.67\n",
        at(0, loss=10.955029, lr=4.2857e-07, norm=15.3366),
    ),
    "epochs": Sample(
        "plain",
        "Epoch [1/10], Train Loss: 0.5, Acc: 0.9 | Val Loss: 0.6, Acc: 0.8 | lr: 0.1\n",
        keyed(1, {"train/Loss": 0.5, "train/Acc": 0.9, "val/Loss": 0.6, "val/Acc": 0.8, "lr": 0.1}),
        EPOCHS,
    ),
    "epochs and batches": Sample(
        "plain",
        "Epoch 1/10, Step 900/938, Loss: 0.31\nEpoch 2/10, Step 20/938, Loss: 0.3\n",
        [*at(900, Loss=0.31), *at(958, Loss=0.3)],
    ),
    "PyTorch's MNIST": Sample(
        "plain",
        "Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.300039\nTrain Epoch: 2 [0/60000 (0%)]\tLoss: 1.300039\n",
        [*at(640, Loss=2.300039), *at(60000, Loss=1.300039)],
    ),
    "PyTorch's ImageNet": Sample(
        "plain",
        "Epoch: [1][ 10/391]\tTime  0.1 ( 0.2)\tData 0.0 (0.1)\tLoss 6.9e+00 (7.0e+00)\tAcc@1   0.00 (  0.12)\n",
        keyed(401, {"Loss": 6.9, "Acc@1": 0.0}),
    ),
    "steps, then epochs": Sample(
        "plain",
        "step 10 loss 0.5\nepoch 1 val loss 0.6\nstep 20 loss 0.4\n",
        [*at(10, loss=0.5), *at(10, val__loss=0.6), *at(20, loss=0.4)],
    ),
}
