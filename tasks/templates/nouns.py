"""Everyday nouns, most of them one token after a space."""

from headspex.tasks.templates.draw import listed

NOUNS = listed(
    "apple, arm, army, art, baby, bag, ball, band, bank, bar, base, bed, bell, bird, block, "
    "blood, board, boat, body, bone, book, bowl, box, boy, brain, branch, bread, bridge, brother, "
    "bus, butter, cake, camp, car, card, cat, chair, chest, child, church, circle, city, class, "
    "clock, cloud, club, coat, coffee, copper, corn, cotton, court, cow, cream, crop, crowd, cup, "
    "desert, desk, dinner, doctor, dog, door, dress, driver, dust, ear, earth, egg, engine, eye, "
    "face, family, farm, field, film, finger, fire, fish, flag, floor, flower, food, foot, "
    "forest, fruit, game, garden, gas, gate, girl, glass, gold, grass, gun, hair, hand, hat, "
    "heart, hill, horse, hospital, hotel, house, ice, iron, island, jacket, job, key, king, "
    "kitchen, knife, lady, lake, lamp, law, leaf, leg, letter, library, light, lip, machine, map, "
    "market, meat, metal, milk, mirror, moon, mountain, mouth, music, neck, nose, ocean, office, "
    "oil, orange, page, paint, paper, park, pen, phone, picture, pig, plane, plate, pocket, "
    "police, pool, potato, prison, queen, rain, ring, river, road, rock, roof, room, rope, salt, "
    "sand, school, sea, ship, shirt, shoe, shop, silver, sister, skin, sky, snow, soil, soldier, "
    "song, soup, spring, star, station, steel, stone, storm, street, sugar, summer, sun, table, "
    "tail, tape, tea, teacher, tent, theater, throat, ticket, tiger, tongue, tool, tooth, tower, "
    "town, toy, train, tree, truck, uncle, valley, village, voice, wall, watch, water, wheel, "
    "wife, wind, window, wine, wing, winter, wood, wool, yard"
)
